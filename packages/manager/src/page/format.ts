const BYTE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

const wholeNumber = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const oneDecimal = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const threeDigits = new Intl.NumberFormat('en', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 })

// Intl.DurationFormat takes 24 µs for each duration, these take less than 1. The page has hundreds of durations.
const [days, hours, minutes, seconds] = ['day', 'hour', 'minute', 'second'].map(unit => {
  const format = new Intl.NumberFormat('en', { style: 'unit', unit, unitDisplay: 'narrow' })
  return (value: number): string => format.format(Math.floor(value))
}) as [UnitText, UnitText, UnitText, UnitText]

type UnitText = (value: number) => string

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
  for (; scaled >= 999.5 && unit < BYTE_UNITS.length - 1; unit++) scaled /= 1_000
  return `${(unit === 0 ? wholeNumber : threeDigits).format(scaled)} ${BYTE_UNITS[unit]}`
}

/** The two largest units: `3s`, `4m 5s`, `2h 3m`, `5d 6h`. Days begin at 48 hours. */
export function duration(ms: number): string {
  const s = Math.max(0, ms / 1_000)
  if (s < 60) return seconds(s)
  if (s < 3_600) return `${minutes(s / 60)} ${seconds(s % 60)}`
  const h = s / 3_600
  if (h < 48) return `${hours(h)} ${minutes((s / 60) % 60)}`
  return `${days(h / 24)} ${hours(h % 24)}`
}

/** The time of day, as the visitor's browser writes it. */
export const timeOfDay = (time: number): string => new Date(time).toLocaleTimeString()

/** The number of a route, after the name of its proxy where there are several. */
export const routeName = (proxy: string, index: number, several: boolean): string =>
  several ? `${proxy} ${index}` : String(index)

/** A label of a scale: `0.5`, `12`, `1.2K`. */
export const axisRate = (value: number): string => compact.format(value)

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** `0.8 ms`, `12 ms`, `1.20 s`. */
export function ms(value: number): string {
  if (value >= 999.5) return `${threeDigits.format(value / 1_000)} s`
  return `${value < 10 ? oneDecimal.format(value) : wholeNumber.format(value)} ms`
}
