/** Names of the C locale, which httpd has. */
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')
const MONTHS = 'January February March April May June July August September October November December'.split(' ')

const pad = (value: number, length = 2, fill = '0'): string => String(value).padStart(length, fill)
const hour12 = (date: Date): number => date.getHours() % 12 || 12

/** The offset from UTC: `+0200`. */
export function timeZone(date: Date): string {
  const offset = -date.getTimezoneOffset()
  return `${offset < 0 ? '-' : '+'}${pad(Math.floor(Math.abs(offset) / 60))}${pad(Math.abs(offset) % 60)}`
}

/** Days since 1 January, from 0. */
const dayOfYear = (date: Date): number =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000,
  )

/** The week of the year, of weeks that begin on `first`: 0 is Sunday. */
const weekOfYear = (date: Date, first: number): number =>
  Math.floor((dayOfYear(date) + 7 - ((date.getDay() - first + 7) % 7)) / 7)

/** The ISO 8601 week and its year. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7))
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 }
}

/** The abbreviation of the time zone: `CEST`. */
const zoneName = (date: Date): string =>
  new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' })
    .formatToParts(date)
    .find(({ type }) => type === 'timeZoneName')?.value ?? ''

const CONVERSIONS: Readonly<Record<string, (date: Date) => string>> = {
  a: date => (DAYS[date.getDay()] as string).slice(0, 3),
  A: date => DAYS[date.getDay()] as string,
  b: date => (MONTHS[date.getMonth()] as string).slice(0, 3),
  B: date => MONTHS[date.getMonth()] as string,
  c: date => strftime('%a %b %e %H:%M:%S %Y', date),
  C: date => pad(Math.floor(date.getFullYear() / 100)),
  d: date => pad(date.getDate()),
  D: date => strftime('%m/%d/%y', date),
  e: date => pad(date.getDate(), 2, ' '),
  F: date => strftime('%Y-%m-%d', date),
  g: date => pad(isoWeek(date).year % 100),
  G: date => String(isoWeek(date).year),
  h: date => (MONTHS[date.getMonth()] as string).slice(0, 3),
  H: date => pad(date.getHours()),
  I: date => pad(hour12(date)),
  j: date => pad(dayOfYear(date) + 1, 3),
  k: date => pad(date.getHours(), 2, ' '),
  l: date => pad(hour12(date), 2, ' '),
  m: date => pad(date.getMonth() + 1),
  M: date => pad(date.getMinutes()),
  n: () => '\n',
  p: date => (date.getHours() < 12 ? 'AM' : 'PM'),
  P: date => (date.getHours() < 12 ? 'am' : 'pm'),
  r: date => strftime('%I:%M:%S %p', date),
  R: date => strftime('%H:%M', date),
  s: date => String(Math.floor(date.getTime() / 1_000)),
  S: date => pad(date.getSeconds()),
  t: () => '\t',
  T: date => strftime('%H:%M:%S', date),
  u: date => String(date.getDay() || 7),
  U: date => pad(weekOfYear(date, 0)),
  V: date => pad(isoWeek(date).week),
  w: date => String(date.getDay()),
  W: date => pad(weekOfYear(date, 1)),
  x: date => strftime('%m/%d/%y', date),
  X: date => strftime('%H:%M:%S', date),
  y: date => pad(date.getFullYear() % 100),
  Y: date => String(date.getFullYear()),
  z: timeZone,
  Z: zoneName,
  '%': () => '%',
}

/** Formats a local time as strftime(3) does in the C locale. A conversion that is not known stays as it is. */
export function strftime(format: string, date: Date): string {
  return format.replace(/%[EO]?(.)/gs, (whole, letter: string) => {
    const convert = Object.hasOwn(CONVERSIONS, letter) ? CONVERSIONS[letter] : undefined
    return convert === undefined ? whole : convert(date)
  })
}
