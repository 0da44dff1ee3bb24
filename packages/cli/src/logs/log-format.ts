import type { LogEntry } from './log-entry.ts'
import { ITEMS, UNSUPPORTED } from './log-items.ts'

/** A compiled LogFormat. */
export interface LogFormat {
  readonly format: (entry: LogEntry) => string
  /** Whether it writes header fields of the response. */
  readonly readsResponseFields: boolean
  /** The variables of mod_ssl that it writes. */
  readonly tlsVariables: readonly string[]
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

const NAMED_ESCAPES: Record<string, string> = {
  '\b': '\\b',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

/** Escapes text so that no request can end a line or a quoted item. httpd: ap_escape_logitem. */
export function escapeLogItem(text: string): string {
  return text.replace(/[\0-\x1f"\\\x7f-\uffff]/g, char => {
    if (NAMED_ESCAPES[char] !== undefined) return NAMED_ESCAPES[char]
    const bytes = char.charCodeAt(0) < 0x100 ? Buffer.from(char, 'latin1') : Buffer.from(char)
    return Array.from(bytes, byte => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
  })
}

const DIRECTIVE = /%(?:%|(!?\d{3}(?:,\d{3})*)?[<>]?(?:\{([^}]*)\})?(\^..|[a-zA-Z])?)/gs
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t' }

/** Compiles a LogFormat. Returns an error message if the format has a directive that httpd does not know. */
export function compileFormat(text: string): LogFormat | string {
  const parts: (string | ((entry: LogEntry) => string))[] = []
  const plain = (part: string): unknown =>
    parts.push(part.replace(/\\([nrt"\\])/g, (_, char: string) => ESCAPES[char] ?? char))
  let end = 0
  let readsResponseFields = false
  const tlsVariables: string[] = []
  const unsupported: string[] = []
  for (const found of text.matchAll(DIRECTIVE)) {
    const [whole, statuses, argument = '', name = ''] = found
    const letter = name.replace('^', '')
    plain(text.slice(end, found.index))
    end = found.index + whole.length
    if (whole === '%%') {
      parts.push('%')
      continue
    }
    const item = Object.hasOwn(ITEMS, letter) ? ITEMS[letter] : undefined
    if (item === undefined && !UNSUPPORTED.has(letter)) return `Unrecognized LogFormat directive ${whole}`
    if (item === undefined || !(item.accepts?.test(argument) ?? true)) {
      unsupported.push(whole)
      parts.push('-')
      continue
    }
    if (letter === 'o') readsResponseFields = true
    if (letter === 'x') tlsVariables.push(argument)
    const { write } = item
    // httpd does not escape the time.
    const written = (entry: LogEntry): string => {
      const value = write(entry, argument)
      return value === undefined ? '-' : letter === 't' ? value : escapeLogItem(value)
    }
    const passes = statusTest(statuses)
    parts.push(passes === undefined ? written : entry => (passes(entry) ? written(entry) : '-'))
  }
  plain(text.slice(end))
  const format = (entry: LogEntry): string =>
    parts.map(part => (typeof part === 'string' ? part : part(entry))).join('')
  return { format, readsResponseFields, tlsVariables, unsupported }
}

/** Tests the list of statuses in `%400,501{User-agent}i`: the item is written for these, or with `!` for all others. */
function statusTest(text: string | undefined): ((entry: LogEntry) => boolean) | undefined {
  if (text === undefined) return undefined
  const statuses = text.replace('!', '').split(',').map(Number)
  return ({ status }) => statuses.includes(status) !== text.startsWith('!')
}
