import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { RequestVariables } from './log-entry.ts'
import { strftime } from './strftime.ts'

/** The levels of LogLevel, most urgent first. */
export const LEVELS = [
  'emerg',
  'alert',
  'crit',
  'error',
  'warn',
  'notice',
  'info',
  'debug',
  ...Array.from({ length: 8 }, (_, i) => `trace${i + 1}`),
] as const

export type Level = 'error' | 'warn' | 'notice' | 'info' | 'debug'

/** How urgent a level is: 0 is the most urgent. */
export const rankOf = (level: string): number => (LEVELS as readonly string[]).indexOf(level)

/** What a line of the error log is about. */
export interface ErrorSubject {
  /** Address and port of the client. */
  readonly client?: string | undefined
  readonly req?: IncomingMessage | undefined
  /** The id of the request, which `%L` of the access log repeats. */
  readonly id?: string | undefined
  readonly connectionId?: string | undefined
  readonly keptAlive?: number | undefined
  readonly variables?: (() => RequestVariables) | undefined
}

/** A line of the error log. */
export interface ErrorEntry {
  readonly level: Level
  readonly message: string
  readonly date: Date
  readonly serverName: string
  readonly subject: ErrorSubject
}

/** A compiled ErrorLogFormat. It returns `undefined` for an entry that has no line. */
export type ErrorFormat = (entry: ErrorEntry) => string | undefined

/** An id as httpd makes them: 64 random bits. */
export const newId = (): string => randomBytes(8).toString('base64').slice(0, 11)

/** Escapes the control characters that a terminal would interpret. Tabs and line feeds stay. */
export const printable = (text: string): string =>
  text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

/** `Sat Nov 21 01:17:38.123000 2026`; the options are those of `%{...}t`. */
function time(date: Date, options: string): string {
  const micro = options.includes('u') ? `.${String(date.getMilliseconds()).padStart(3, '0')}000` : ''
  return options.includes('c')
    ? strftime(`%Y-%m-%d %H:%M:%S${micro}`, date)
    : strftime(`%a %b %d %H:%M:%S${micro} %Y`, date)
}

type Item = (entry: ErrorEntry, argument: string) => string | undefined

const ITEMS: Readonly<Record<string, Item>> = {
  a: ({ subject }) => subject.client,
  A: ({ subject: { req } }) =>
    req === undefined ? undefined : `${req.socket.localAddress ?? ''}:${req.socket.localPort ?? 0}`,
  e: ({ subject }, name) => subject.variables?.().get(name),
  // The cause is part of the message.
  E: () => undefined,
  F: () => undefined,
  i: ({ subject: { req } }, name) => {
    const value = req?.headers[name.toLowerCase()]
    return value === undefined ? undefined : printable([value].flat().join(', '))
  },
  k: ({ subject: { keptAlive } }) => (keptAlive === undefined ? undefined : String(keptAlive)),
  l: ({ level }) => level,
  L: ({ subject }, which) => (which === '' ? subject.id : subject.connectionId),
  m: () => 'ws-tunnel',
  M: ({ message }) => printable(message).replaceAll('\n', '\\n'),
  n: () => undefined,
  P: () => String(process.pid),
  t: ({ date }, options) => time(date, options),
  T: () => String(process.pid),
  v: ({ serverName }) => serverName,
  V: ({ serverName }) => serverName,
}

/** The format if there is no ErrorLogFormat line. */
export const DEFAULT_ERROR_FORMAT = '[%{u}t] [%-m:%l] [pid %P] [client\\ %a] %M'

interface Part {
  readonly text: string
  readonly item: Item | undefined
  readonly argument: string
  /** Whether a field begins here. A field with an item that has no value is not written. */
  readonly beginsField: boolean
  /** `-`: an item without a value is written as `-`. `+`: the whole line is then not written. */
  readonly absent: string
  /** The item is written if the message is at least as urgent. */
  readonly level: number | undefined
}

const DIRECTIVE = /%(?:(%)|( )|([-+])?(\d+)?(?:\{([^}]*)\})?([a-zA-Z])?)|((?:\\.|[^%\\ ])+| (?:\\.|[^%\\ ])*|\\$)/gs

/** Compiles an ErrorLogFormat. Returns an error message if the format has a directive that httpd does not know. */
export function compileErrorFormat(text: string): ErrorFormat | { problem: string } {
  const parts: Part[] = []
  const literal = (written: string, beginsField: boolean): void => {
    parts.push({ text: written, item: undefined, argument: '', beginsField, absent: '', level: undefined })
  }
  for (const [whole, percent, separator, absent = '', level, argument = '', letter = '', plain] of text.matchAll(
    DIRECTIVE,
  )) {
    if (percent !== undefined) literal('%', false)
    else if (separator !== undefined) literal('', true)
    else if (plain !== undefined) literal(plain.replace(/\\(.)/gs, '$1'), plain.startsWith(' '))
    else {
      const item = Object.hasOwn(ITEMS, letter) ? ITEMS[letter] : undefined
      if (item === undefined) return { problem: `Unrecognized error log format directive ${whole}` }
      parts.push({
        text: '',
        item,
        argument,
        beginsField: false,
        absent,
        level: level === undefined ? undefined : Number(level),
      })
    }
  }
  return entry => writeParts(parts, entry)
}

/** httpd: do_errorlog_format. */
function writeParts(parts: readonly Part[], entry: ErrorEntry): string | undefined {
  let line = ''
  let fieldStart = 0
  let isSkipping = false
  for (const { text, item, argument, beginsField, absent, level } of parts) {
    if (beginsField) {
      if (isSkipping) isSkipping = false
      else fieldStart = line.length
    }
    if (isSkipping && item !== ITEMS['M']) continue
    const value = item === undefined ? text : (level ?? 99) < rankOf(entry.level) ? '' : item(entry, argument)
    if (item === undefined || (value !== undefined && value !== '')) line += value
    else if (absent === '+') return undefined
    else if (absent === '-') line += '-'
    else {
      line = line.slice(0, fieldStart)
      isSkipping = true
    }
  }
  return line
}
