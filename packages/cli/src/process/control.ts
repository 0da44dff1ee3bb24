import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'

/** What a signal requests. */
export type Command = 'reload' | 'stop' | 'graceful-stop' | 'hand-over'

const COMMANDS: Readonly<Record<string, Command>> = {
  SIGTERM: 'stop',
  SIGINT: 'stop',
  SIGHUP: 'reload',
  SIGUSR1: 'reload',
  SIGWINCH: 'graceful-stop',
  SIGUSR2: 'hand-over',
}

/** Whether a terminal may send SIGWINCH, because its window has another size. */
const hasTerminal = (): boolean => [process.stdin, process.stdout, process.stderr].some(stream => stream.isTTY)

/**
 * Receives the signals of httpd. To be called before anything else: without a listener, SIGUSR1 opens Node's debugger
 * and the other signals end the process. Signals that come before {@link Signals.listen} wait for it.
 */
export class Signals {
  readonly #waiting: [Command, string][] = []
  #listener: ((command: Command, signal: string) => void) | undefined

  constructor() {
    for (const [signal, command] of Object.entries(COMMANDS)) {
      if (signal === 'SIGWINCH' && hasTerminal()) continue
      process.on(signal, () => {
        if (this.#listener === undefined) this.#waiting.push([command, signal])
        else this.#listener(command, signal)
      })
    }
  }

  listen(listener: (command: Command, signal: string) => void): void {
    this.#listener = listener
    for (const [command, signal] of this.#waiting.splice(0)) listener(command, signal)
  }
}

/** Ignores the signals of the primary process, which a terminal and a service manager send to the workers too. */
export function ignoreSignals(): void {
  for (const signal of Object.keys(COMMANDS)) process.on(signal, () => {})
}

/**
 * Writes the file of PidFile.
 *
 * @returns a function that removes it.
 * @throws the file system's error.
 */
export function writePidFile(file: string | undefined): () => void {
  if (file === undefined) return () => {}
  // A file that exists is replaced, not followed: in a folder that others may write to it could be a link.
  rmSync(file, { force: true })
  const fd = openSync(file, 'wx', 0o644)
  writeFileSync(fd, `${process.pid}\n`)
  closeSync(fd)
  return () => {
    try {
      rmSync(file, { force: true })
    } catch {
      // The process may have dropped the right to remove it.
    }
  }
}
