import cluster from 'node:cluster'
import { serveAlone } from '../process/alone.ts'
import { Signals } from '../process/control.ts'
import { serveWithWorkers } from '../process/primary.ts'
import { identityOf } from '../process/privileges.ts'
import { type RunSettings, readConfiguration } from '../process/read-configuration.ts'
import { ServiceManager } from '../process/service-manager.ts'
import { serveAsWorker } from '../process/worker.ts'

/** `ws-tunnel run`: serves until SIGTERM, SIGINT or SIGWINCH, and resolves to the exit code. */
export async function run(settings: RunSettings): Promise<number> {
  // A full disk, or a reader of the logs that closes its pipe, must not end the tunnels.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  if (cluster.isWorker) return serveAsWorker(settings)
  const signals = new Signals()
  const first = readConfiguration(settings)
  if ('problem' in first) {
    process.stderr.write(first.problem)
    return 1
  }
  process.stderr.write(first.warnings)
  const services = new ServiceManager()
  try {
    const changesUser = identityOf(first.configuration.main.settings) !== undefined
    const serve = settings.workers === undefined && !changesUser ? serveAlone : serveWithWorkers
    return await serve(first, settings, signals, services)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || code.startsWith('ERR_')) throw error
    process.stderr.write(`ws-tunnel: ${(error as Error).message}\n`)
    return 1
  }
}
