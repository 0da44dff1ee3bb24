import type { IncomingMessage, ServerResponse } from 'node:http'

/** A request that is complete, or a tunnel that has ended. */
export interface LogEntry {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly clientAddress: string
  readonly clientPort: number
  readonly localAddress: string
  readonly localPort: number
  /** The ServerName of the virtual host. */
  readonly serverName: string
  readonly startedAt: Date
  /** The time from the head of the request to the end, µs. */
  readonly duration: number
  readonly status: number
  /** Bytes from the client, including the head. */
  readonly bytesIn: number
  /** Bytes to the client, including the head. */
  readonly bytesOut: number
  /** Bytes to the client without the head. */
  readonly bodyBytes: number
}

/** A compiled LogFormat. */
export interface LogFormat {
  readonly format: (entry: LogEntry) => string
  /** Whether it writes header fields of the response. */
  readonly readsResponseFields: boolean
  /** Directives that httpd knows and that this program writes as `-`. */
  readonly unsupported: readonly string[]
}

const COMMON = '%h %l %u %t "%r" %>s %b'

/** Formats that are defined without a LogFormat line. */
export const NICKNAMES: Readonly<Record<string, string>> = {
  common: COMMON,
  combined: `${COMMON} "%{Referer}i" "%{User-agent}i"`,
}

/**
 * The format if there is no CustomLog line: `common`, followed by the bytes and the duration, which describe a tunnel.
 */
export const DEFAULT_FORMAT = `${COMMON} %I %O %D`

/** Escapes text so that no request can end a line or a quoted item. httpd: ap_escape_logitem. */
export function escapeLogItem(text: string): string {
  const named: Record<string, string> = {
    '\b': '\\b',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\v': '\\v',
    '"': '\\"',
    '\\': '\\\\',
  }
  return text.replace(/[\0-\x1f"\\\x7f-\uffff]/g, char => {
    if (named[char] !== undefined) return named[char]
    const bytes = char.charCodeAt(0) < 0x100 ? Buffer.from(char, 'latin1') : Buffer.from(char)
    return Array.from(bytes, byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
  })
}

type Item = (entry: LogEntry, argument: string) => string

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
const two = (value: number): string => String(value).padStart(2, '0')

/** `[10/Oct/2000:13:55:36 -0700]` */
function clfTime(date: Date): string {
  const offset = -date.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`
  const day = `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}`
  return `[${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}]`
}

const path = ({ url = '/' }: IncomingMessage): string =>
  url.replace(/\?.*$/s, '').replace(/^[a-z][\w+.-]*:\/\/[^/]*/i, '')

const decoded = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

function field(req: IncomingMessage, name: string): string {
  const values = req.rawHeaders.filter((_, i, raw) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === name.toLowerCase())
  return values.length === 0 ? '-' : values.join(', ')
}

const UNITS: Record<string, number> = { '': 1_000_000, s: 1_000_000, ms: 1_000, us: 1 }

const ITEMS: Record<string, Item> = {
  h: ({ clientAddress }) => clientAddress,
  a: ({ clientAddress }) => clientAddress,
  A: ({ localAddress }) => localAddress,
  l: () => '-',
  u: () => '-',
  t: ({ startedAt }) => clfTime(startedAt),
  r: ({ req }) => `${req.method} ${req.url} HTTP/${req.httpVersion}`,
  s: ({ status }) => String(status),
  b: ({ bodyBytes }) => (bodyBytes === 0 ? '-' : String(bodyBytes)),
  B: ({ bodyBytes }) => String(bodyBytes),
  I: ({ bytesIn }) => String(bytesIn),
  O: ({ bytesOut }) => String(bytesOut),
  D: ({ duration }) => String(Math.round(duration)),
  T: ({ duration }, unit) => String(Math.floor(duration / (UNITS[unit] as number))),
  i: ({ req }, name) => field(req, name),
  o: ({ res }, name) => {
    const value = res.getHeader(name)
    return value === undefined ? '-' : [value].flat().join(', ')
  },
  v: ({ serverName }) => serverName,
  V: ({ serverName }) => serverName,
  p: ({ localPort, clientPort }, which) => String(which === 'remote' ? clientPort : localPort),
  m: ({ req }) => req.method ?? '-',
  U: ({ req }) => decoded(path(req)),
  q: ({ req }) => /\?.*$/s.exec(req.url ?? '')?.[0] ?? '',
  H: ({ req }) => `HTTP/${req.httpVersion}`,
  P: () => String(process.pid),
}

/** Letters of httpd and its modules for values that this program does not have. */
const UNSUPPORTED = 'CELRSXcefknx'

/** The arguments in braces that a letter accepts. Letters without an entry accept every argument. */
const ARGUMENTS: Record<string, RegExp> = {
  t: /^$/,
  T: /^(?:s|ms|us)?$/,
  p: /^(?:canonical|local|remote)?$/,
  i: /^[^\s:]+$/,
  o: /^[^\s:]+$/,
}

const DIRECTIVE = /%(?:%|(!?\d{3}(?:,\d{3})*)?[<>]?(?:\{([^}]*)\})?([a-zA-Z])?)/g
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t' }

/** Compiles a LogFormat. Returns an error message if the format has a directive that httpd does not know. */
export function compileFormat(text: string): LogFormat | string {
  const parts: (string | ((entry: LogEntry) => string))[] = []
  const plain = (part: string): unknown =>
    parts.push(part.replace(/\\([nrt"\\])/g, (_, char: string) => ESCAPES[char] ?? char))
  let end = 0
  let readsResponseFields = false
  const unsupported: string[] = []
  for (const found of text.matchAll(DIRECTIVE)) {
    const [whole, statuses, argument = '', letter = ''] = found
    plain(text.slice(end, found.index))
    end = found.index + whole.length
    if (whole === '%%') {
      parts.push('%')
      continue
    }
    const item = Object.hasOwn(ITEMS, letter) ? ITEMS[letter] : undefined
    if (item === undefined && (letter === '' || !UNSUPPORTED.includes(letter)))
      return `Unrecognized LogFormat directive ${whole}`
    if (item === undefined || !(ARGUMENTS[letter]?.test(argument) ?? true)) {
      unsupported.push(whole)
      parts.push('-')
      continue
    }
    if (letter === 'o') readsResponseFields = true
    const passes = statusTest(statuses)
    parts.push(
      letter === 't' ? entry => item(entry, '') : entry => (passes(entry) ? escapeLogItem(item(entry, argument)) : '-'),
    )
  }
  plain(text.slice(end))
  const format = (entry: LogEntry): string =>
    parts.map(part => (typeof part === 'string' ? part : part(entry))).join('')
  return { format, readsResponseFields, unsupported }
}

/** Tests the list of statuses in `%400,501{User-agent}i`: the item is written for these, or with `!` for all others. */
function statusTest(text: string | undefined): (entry: LogEntry) => boolean {
  if (text === undefined) return () => true
  const statuses = text.replace('!', '').split(',').map(Number)
  return ({ status }) => statuses.includes(status) !== text.startsWith('!')
}
