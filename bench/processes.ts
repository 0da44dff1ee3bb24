import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** Whether the proxy and the load each run on a core of their own. This needs two cores and taskset. */
export const PINNED: boolean = availableParallelism() > 1 && runs('taskset', ['-V'])

/** Returns the command that runs on the core of the proxy (0) or of the load (1). */
export function on(core: 0 | 1, command: readonly string[]): [file: string, args: string[]] {
  const [file = '', ...args] = PINNED ? ['taskset', '-c', String(core), ...command] : command
  return [file, args]
}

/** Whether the program can be run. */
export function runs(file: string, args: readonly string[]): boolean {
  try {
    execFileSync(file, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The process and all its descendants. */
export function tree(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = Number(stat(name)?.split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/** The fields after the name in /proc/PID/stat. `undefined` for a process that has ended since it was listed. */
function stat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '')
  } catch {
    return undefined
  }
}

/** The resident memory of the processes, KiB. Pages that they share are counted once (PSS). */
export function memory(pids: readonly number[]): number {
  let sum = 0
  for (const pid of pids) {
    sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1])
  }
  return sum
}

/** Sends the signal and waits until the process has ended. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}
