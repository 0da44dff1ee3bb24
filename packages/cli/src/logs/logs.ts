import type { ErrorFormat } from './error-format.ts'
import { defaultErrorFormat, ErrorLog } from './error-log.ts'
import { FileSink, type LogSink, StreamSink } from './log-sink.ts'

/** File names that stand for the streams of the process. Opened as files they fail if the stream is a socket. */
const STREAMS: Readonly<Record<string, 'stdout' | 'stderr'>> = {
  '/dev/stdout': 'stdout',
  '/dev/fd/1': 'stdout',
  '/proc/self/fd/1': 'stdout',
  '/dev/stderr': 'stderr',
  '/dev/fd/2': 'stderr',
  '/proc/self/fd/2': 'stderr',
}

/** The open logs of the process, one sink for each file. */
export class Logs {
  /** Standard output. */
  readonly output: LogSink
  /** Standard error. */
  readonly errors: LogSink
  readonly isJson: boolean
  readonly #files = new Map<string, LogSink>()

  constructor(isJson: boolean) {
    this.isJson = isJson
    this.errors = new StreamSink(process.stderr, 'standard error', message => this.#report(message))
    this.output = new StreamSink(process.stdout, 'standard output', message => this.#report(message))
  }

  /**
   * The log of a file.
   *
   * @throws the file system's error if the file cannot be opened.
   */
  open(file: string): LogSink {
    const stream = Object.hasOwn(STREAMS, file) ? STREAMS[file] : undefined
    if (stream !== undefined) return stream === 'stdout' ? this.output : this.errors
    let sink = this.#files.get(file)
    if (sink === undefined) {
      sink = new FileSink(file, message => this.#report(message))
      this.#files.set(file, sink)
    }
    return sink
  }

  /**
   * An error log.
   *
   * @param file `undefined` is standard error.
   */
  errorLog(file: string | undefined, level: string, format: ErrorFormat, serverName: string): ErrorLog {
    const sink = file === undefined ? this.errors : this.open(file)
    return new ErrorLog(sink, level, this.isJson ? 'json' : format, serverName)
  }

  /** Opens every file again, after its log was rotated. */
  reopen(): void {
    for (const sink of this.#files.values()) sink.reopen()
  }

  /** Resolves when all lines are written, or cannot be written. */
  async close(): Promise<void> {
    await Promise.all(Array.from([...this.#files.values(), this.output, this.errors], sink => sink.close()))
  }

  #report(message: string): void {
    new ErrorLog(this.errors, 'warn', this.isJson ? 'json' : defaultErrorFormat, '').write('warn', message)
  }
}
