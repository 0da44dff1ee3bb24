import { closeSync, openSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { pino } from 'pino'

/** Where the lines of a log go. */
export interface LogSink {
  /** Appends whole lines. They are lost, and counted, while {@link MAX_QUEUED} bytes wait to be written. */
  write(lines: string): void
  /** Opens the file by its name again, so that a rotated log continues in a new file. */
  reopen(): void
  /** Resolves when the lines that wait are written, or cannot be written. */
  close(): Promise<void>
}

/** Is told what an operator must know about a log: that lines were lost, that it cannot be written. */
export type LogProblem = (message: string) => void

/** The largest size of the lines of one log that wait for a disk or for the reader of a pipe, in characters. */
export const MAX_QUEUED = 4 * 1_024 * 1_024

/** How long {@link LogSink.close} waits for a disk or for the reader of a pipe, ms. */
const CLOSE_TIMEOUT = 2_000

/** How long a file that could not be written rests until the next attempt, ms. */
const RETRY_DELAY = 1_000

const within = (wait: Promise<unknown>): Promise<void> =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, CLOSE_TIMEOUT)
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    wait.then(done, done)
  })

/** Counts the lines that a log loses, and reports them once it can be written again. */
class Losses {
  readonly #name: string
  readonly #report: LogProblem
  #lost = 0
  #isBroken = false

  constructor(name: string, report: LogProblem) {
    this.#name = name
    this.#report = report
  }

  add(): void {
    this.#lost++
  }

  fail(error: Error): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.#report(`cannot write ${this.#name}: ${error.message}`)
  }

  recover(): void {
    const lost = this.#lost
    this.#lost = 0
    this.#isBroken = false
    if (lost > 0) this.#report(`${lost} lines of ${this.#name} were lost, because it could not be written fast enough`)
  }
}

/** Writes to standard output or standard error. */
export class StreamSink implements LogSink {
  readonly #stream: Writable
  readonly #losses: Losses

  constructor(stream: Writable, name: string, report: LogProblem) {
    this.#stream = stream
    this.#losses = new Losses(name, report)
    stream.on('drain', () => this.#losses.recover())
    // A full disk, or a reader that closes its pipe, must not end the tunnels.
    stream.on('error', () => {})
  }

  write(lines: string): void {
    if (this.#stream.writableLength + lines.length > MAX_QUEUED) this.#losses.add()
    else this.#stream.write(lines)
  }

  reopen(): void {}

  close(): Promise<void> {
    if (this.#stream.writableLength === 0 || this.#stream.destroyed) return Promise.resolve()
    return within(new Promise(resolve => this.#stream.once('drain', resolve).once('error', resolve)))
  }
}

/** Appends to a file. Several processes may append to the same file, because each write has whole lines. */
export class FileSink implements LogSink {
  readonly #destination: ReturnType<typeof pino.destination>
  readonly #losses: Losses
  #isClosed = false

  /** @throws the file system's error if the file cannot be opened. */
  constructor(file: string, report: LogProblem) {
    // `destination` opens the file later. This finds out now whether it can, and makes the file.
    closeSync(openSync(file, 'a'))
    this.#losses = new Losses(file, report)
    this.#destination = pino.destination({ dest: file, append: true, sync: false, maxLength: MAX_QUEUED })
    this.#destination.on('drop', () => this.#losses.add())
    this.#destination.on('error', (error: Error) => {
      this.#losses.fail(error)
      // A full queue takes no line that would make the destination try again.
      setTimeout(() => this.reopen(), RETRY_DELAY).unref()
    })
    this.#destination.on('drain', () => this.#losses.recover())
  }

  write(lines: string): void {
    if (!this.#isClosed) this.#destination.write(lines)
  }

  reopen(): void {
    if (!this.#isClosed) this.#destination.reopen()
  }

  close(): Promise<void> {
    this.#isClosed = true
    return within(
      new Promise(resolve => {
        this.#destination.once('close', resolve).once('error', resolve)
        this.#destination.end()
      }),
    )
  }
}
