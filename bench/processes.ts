import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** Cores of the proxy and of the load; `undefined` where there is only one, or no taskset to choose. */
const pinned = availableParallelism() > 1 && answers('taskset', ['-V'])

/** Whether processes stand on cores of their own. */
export const PINNED: boolean = pinned

/** The command on the core of the proxy (0) or of the load (1). */
export function on(core: 0 | 1, command: readonly string[]): [file: string, args: string[]] {
  const [file = '', ...args] = pinned ? ['taskset', '-c', String(core), ...command] : command
  return [file, args]
}

/** Whether the program runs at all. */
export function answers(file: string, args: readonly string[]): boolean {
  try {
    execFileSync(file, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The process and all that came from it. */
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

/** What stands behind the name in /proc/PID/stat; a process may have ended since it was listed. */
function stat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '')
  } catch {
    return undefined
  }
}

/** Resident KiB of the processes, pages that they share counted once (PSS). */
export function memory(pids: readonly number[]): number {
  let sum = 0
  for (const pid of pids) {
    sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1])
  }
  return sum
}

/** Ends the process and waits for it. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}
