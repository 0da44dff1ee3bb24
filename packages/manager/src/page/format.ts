/// <reference lib="es2025.intl" />

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

const wholeNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const threeDigits = new Intl.NumberFormat('en', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 })
const oneDecimal = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const narrowDuration = new Intl.DurationFormat('en', { style: 'narrow', secondsDisplay: 'always' })
const narrowLongDuration = new Intl.DurationFormat('en', { style: 'narrow' })

/** `1,234`. */
export const count = (value: number): string => wholeNumber.format(value)

/** `1 tunnel`, `2 tunnels`. */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`

/** `0.5` below ten, `12` from there on. */
export const rate = (value: number): string => (value < 10 ? oneDecimal : wholeNumber).format(value)

/** `512 B`, `1.50 MB`: three digits from a kilobyte on, so that a live number keeps its width. */
export function bytes(value: number): string {
  let scaled = value
  let unit = 0
  for (; scaled >= 999.5 && unit < UNITS.length - 1; unit++) scaled /= 1_000
  return `${(unit === 0 ? wholeNumber : threeDigits).format(scaled)} ${UNITS[unit]}`
}

/** The two largest units: `3s`, `4m 5s`, `2h 3m`, `5d 6h`. Days begin at 48 hours. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (hours >= 48) return narrowLongDuration.format({ days: Math.floor(hours / 24), hours: hours % 24 })
  if (hours > 0) return narrowLongDuration.format({ hours, minutes: minutes % 60 })
  return narrowDuration.format({ minutes, seconds: seconds % 60 })
}

/** The time of day, as the visitor's browser writes it. */
export const timeOfDay = (time: number): string => new Date(time).toLocaleTimeString()

/** The number of a route, after the name of its proxy where there are several. */
export const routeName = (proxy: string, index: number, several: boolean): string =>
  several ? `${proxy} ${index}` : String(index)
