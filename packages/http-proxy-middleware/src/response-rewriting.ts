import type { IncomingMessage } from 'node:http'
import type { HpmOptions } from './options.ts'

/** Rewrites the raw fields of a response in place. */
export type ResponseRewriter = (raw: string[], response: IncomingMessage, target: URL, req: IncomingMessage) => void

type Values = Readonly<Record<string, string>>

const DOMAIN = /(;\s*domain=)([^;]+)/i
const PATH = /(;\s*path=)([^;]+)/i

/** Statuses whose `Location` is rewritten. */
const REDIRECTS: ReadonlySet<number> = new Set([201, 301, 302, 303, 307, 308])

/** What the options rewrite in `Set-Cookie` and `Location`; `undefined` if they rewrite nothing. */
export function responseRewriter(options: HpmOptions): ResponseRewriter | undefined {
  const domains = valuesOf(options.cookieDomainRewrite)
  const paths = valuesOf(options.cookiePathRewrite)
  const { hostRewrite, autoRewrite, protocolRewrite } = options
  const moves = Boolean(hostRewrite || autoRewrite || protocolRewrite)
  if (domains === undefined && paths === undefined && !moves) return undefined
  return (raw, { statusCode = 0 }, target, req) => {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = (raw[i] as string).toLowerCase()
      const value = raw[i + 1] as string
      if (name === 'set-cookie') raw[i + 1] = rewriteCookie(rewriteCookie(value, DOMAIN, domains), PATH, paths)
      else if (name === 'location' && moves && REDIRECTS.has(statusCode))
        raw[i + 1] = moved(value, target, req, options)
    }
  }
}

const valuesOf = (option: HpmOptions['cookieDomainRewrite']): Values | undefined =>
  typeof option === 'string' ? { '*': option } : option || undefined

/** Replaces the value of an attribute. An empty new value removes the attribute. */
function rewriteCookie(cookie: string, attribute: RegExp, values: Values | undefined): string {
  if (values === undefined) return cookie
  return cookie.replace(attribute, (whole, prefix: string, value: string) => {
    const replaced = Object.hasOwn(values, value) ? values[value] : values['*']
    if (replaced === undefined) return whole
    return replaced === '' ? '' : prefix + replaced
  })
}

/** A `Location` that leads to the backend leads to the host and scheme of the options. */
function moved(location: string, target: URL, req: IncomingMessage, options: HpmOptions): string {
  const { hostRewrite, autoRewrite, protocolRewrite } = options
  const url = URL.parse(location, target.href)
  if (url === null || url.host !== target.host) return location
  const own = req.headers[':authority'] ?? req.headers.host
  const host = hostRewrite || (autoRewrite && typeof own === 'string' ? own : undefined)
  if (host !== undefined) {
    // A host without a port means the default port, not that of the backend.
    url.port = ''
    url.host = host
  }
  if (protocolRewrite) url.protocol = protocolRewrite
  return location.startsWith('//') && !protocolRewrite ? url.href.slice(url.protocol.length) : url.href
}
