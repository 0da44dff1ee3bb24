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

/** Escapes the control characters that a terminal would interpret. Tabs and line feeds stay. */
export const printable = (text: string): string =>
  text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, char => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

const pad = (value: number, length = 2): string => String(value).padStart(length, '0')

/** `Sat Nov 21 01:17:38.123000 2026` */
function time(date: Date): string {
  const [day, month] = date.toDateString().split(' ')
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(part => pad(part)).join(':')
  return `${day} ${month} ${pad(date.getDate())} ${clock}.${pad(date.getMilliseconds(), 3)}000 ${date.getFullYear()}`
}

/**
 * Writes a line to standard error, in the format of httpd's error log, if the level is at least as urgent as the
 * threshold. A notice is always written.
 */
export function logError(threshold: string, level: Level, message: string, client?: string): void {
  const rank = (name: string): number => (LEVELS as readonly string[]).indexOf(name)
  if (level !== 'notice' && rank(level) > rank(threshold)) return
  const about = client === undefined ? '' : ` [client ${client}]`
  const text = printable(message).replaceAll('\n', '\\n')
  process.stderr.write(`[${time(new Date())}] [ws-tunnel:${level}] [pid ${process.pid}]${about} ${text}\n`)
}
