import type { IncomingMessage } from 'node:http'

const cookies = new WeakMap<IncomingMessage, string[]>()

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
const DAYS = 'Sun Mon Tue Wed Thu Fri Sat'.split(' ')

/** A date as httpd writes it in a cookie of a rule. */
function dateOf(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${DAYS[time.getUTCDay()]}, ${two(time.getUTCDate())}-${MONTHS[time.getUTCMonth()]}-${time.getUTCFullYear()}`
  return `${day} ${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())} GMT`
}

/** Adds a cookie to the response of a request. httpd: add_cookie. */
export function addCookie(req: IncomingMessage, text: string): void {
  // A text that begins with the separator has another separator than a colon.
  const separator = text.startsWith(';') ? ';' : ':'
  const [name, value, domain, lifetime = '', path, secure, httpOnly, sameSite] = (
    separator === ';' ? text.slice(1) : text
  ).split(separator)
  if (!name || value === undefined || domain === undefined) return
  const minutes = Number.parseInt(lifetime, 10) || 0
  const parts = [`${name}=${value}`, `path=${path || '/'}`]
  if (domain !== '') parts.push(`domain=${domain}`)
  if (minutes !== 0)
    parts.push(
      `expires=${minutes < 0 ? 'Thu, 01-Jan-1970 00:00:00 GMT' : dateOf(new Date(Date.now() + minutes * 60_000))}`,
    )
  if (/^(?:true|1|secure)$/i.test(secure ?? '')) parts.push('secure')
  if (/^(?:true|1|HttpOnly)$/i.test(httpOnly ?? '')) parts.push('HttpOnly')
  if (sameSite) parts.push(`SameSite=${sameSite}`)
  cookies.set(req, [...(cookies.get(req) ?? []), parts.join('; ').replace(/[\r\n\0]/g, ' ')])
}

/** The cookies that rules have added to the response of a request. */
export const cookiesOf = (req: IncomingMessage): readonly string[] => cookies.get(req) ?? []
