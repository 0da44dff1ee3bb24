const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

/** `1.5 MB`: three digits at most. */
export function bytes(count: number): string {
  let value = count
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1_000
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** `3 s`, `4 min 5 s`, `2 h 3 min`, `5 d 6 h`. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000))
  if (s < 60) return `${s} s`
  const min = Math.floor(s / 60)
  if (min < 60) return `${min} min ${s % 60} s`
  const h = Math.floor(min / 60)
  if (h < 48) return `${h} h ${min % 60} min`
  return `${Math.floor(h / 24)} d ${h % 24} h`
}

/** Of a route: its number, behind the name of its proxy where there are several. */
export const routeName = (proxy: string, index: number, several: boolean): string =>
  several ? `${proxy} ${index}` : String(index)

export const count = (value: number): string => value.toLocaleString('en')

/** `1 tunnel`, `2 tunnels`. */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`
