import { pino } from 'pino'
import {
  compileErrorFormat,
  DEFAULT_ERROR_FORMAT,
  type ErrorFormat,
  type ErrorSubject,
  type Level,
  rankOf,
} from './error-format.ts'
import type { LogSink } from './log-sink.ts'

const NOTHING: ErrorSubject = {}

/** The format of httpd's error log. */
export const defaultErrorFormat = compileErrorFormat(DEFAULT_ERROR_FORMAT) as ErrorFormat

/** The error log of a virtual host. */
export class ErrorLog {
  readonly #sink: LogSink
  readonly #threshold: number
  readonly #format: ErrorFormat | 'json'
  readonly #serverName: string

  /** @param level the least urgent level that is written. A notice is always written. */
  constructor(sink: LogSink, level: string, format: ErrorFormat | 'json', serverName: string) {
    this.#sink = sink
    this.#threshold = rankOf(level)
    this.#format = format
    this.#serverName = serverName
  }

  /** Whether a message of the level is written. */
  writes(level: Level): boolean {
    return level === 'notice' || rankOf(level) <= this.#threshold
  }

  write(level: Level, message: string, subject = NOTHING): void {
    if (!this.writes(level)) return
    const entry = { level, message, date: new Date(), serverName: this.#serverName, subject }
    if (this.#format === 'json') {
      const { client, id, req } = subject
      jsonLogger(this.#sink)[LEVEL_OF_PINO[level]](
        { host: this.#serverName, client, id, ...(req !== undefined && { method: req.method, url: req.url }) },
        message,
      )
      return
    }
    const line = this.#format(entry)
    if (line !== undefined) this.#sink.write(`${line}\n`)
  }
}

const LEVEL_OF_PINO = { error: 'error', warn: 'warn', notice: 'info', info: 'info', debug: 'debug' } as const

const loggers = new WeakMap<LogSink, ReturnType<typeof pino>>()

/** The logger that writes JSON lines to a sink. */
export function jsonLogger(sink: LogSink): ReturnType<typeof pino> {
  let logger = loggers.get(sink)
  if (logger === undefined) {
    logger = pino(
      { level: 'trace', base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
      { write: line => sink.write(line) },
    )
    loggers.set(sink, logger)
  }
  return logger
}
