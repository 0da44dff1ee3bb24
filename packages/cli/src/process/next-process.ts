import { spawn } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import type { HandoverMessage } from '@ws-tunnel/core'
import type { ErrorLog } from '../logs/error-log.ts'
import type { RunSettings } from './read-configuration.ts'
import { ServiceManager } from './service-manager.ts'

/**
 * Starts the next process with the arguments of this one, from the files that are there now. It takes the listeners and
 * the tunnels over by itself. If it does not start, this process goes on.
 */
export function startNext({ handover }: RunSettings, errorLog: ErrorLog): void {
  if (handover === undefined) {
    errorLog.write('error', 'SIGUSR2 hands over to the next process, which needs the option --handover')
    return
  }
  // The watchdog of the service manager watches the process that its messages come from.
  const { WATCHDOG_PID: _pid, ...env } = process.env
  const args = [...process.execArgv, ...process.argv.slice(1)]
  const next = spawn(process.execPath, args, { env, stdio: 'inherit', detached: true })
  errorLog.write('notice', `caught SIGUSR2, process ${next.pid} takes over`)
  let serves = false
  subscribe('ws-tunnel:handover', message => {
    if ((message as HandoverMessage).step !== 'done') return
    serves = true
    // The service manager accepts messages of the process that it knows.
    new ServiceManager().notify(`MAINPID=${next.pid}`)
  })
  next.once('error', error => errorLog.write('error', `the next process does not start: ${error.message}`))
  next.once('exit', code => {
    if (!serves) errorLog.write('error', `the next process has ended (${code}), and this one goes on`)
  })
  next.unref()
}
