import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { boolean, type Check, callback, checked, isRecord, text, textMap, wrong } from './checks.ts'
import type { RouteOptions, TargetResult } from './route-options.ts'

/** What the functions of a table need of a request, in each framework. */
type ProxiedRequest = {
  url?: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly raw?: IncomingMessage
}

/** What `bypass` returns. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function of Vite's type returns it
type ViteBypass = string | false | void | null | undefined

/** One entry of Vite's `server.proxy`: the options that mean something to a route. Any other is refused, with what replaces it. */
export interface ViteProxyOptions<Req = IncomingMessage> {
  /** The backend. The whole path of the request is appended to the path of this URL. */
  target?: string | object
  /** Sends the target's Host instead of the client's (`preserveHost: false`). @default false */
  changeOrigin?: boolean
  /** Proxies WebSockets. @default true for a target `ws:` or `wss:`, else false */
  ws?: boolean
  /** Returns the path and query that the backend gets, after the path of the target. */
  rewrite?: (url: string) => string
  /** Sends the target's origin in `Origin` of a WebSocket that has one. The backend then cannot refuse pages of other sites. @default false */
  rewriteWsOrigin?: boolean
  /**
   * Called before a request goes to the backend. A string is the path that the app serves instead, and `false` a 404. `res` is always
   * `undefined`, as Vite has it for a WebSocket: a response is written by middleware before the tunnel.
   */
  bypass?(req: Req, res: undefined, options: ViteProxyOptions<Req>): ViteBypass | Promise<ViteBypass | true>
  /** Whether the certificate of the backend must be valid. @default true */
  secure?: boolean
  /** Header fields that are set in the request, each with a string. */
  headers?: object
  /** The address of this machine from which connections are made. */
  localAddress?: string
}

const target: Check = (where, value) => {
  const url = typeof value === 'string' || value instanceof URL ? URL.parse(String(value)) : null
  if (url === null || !/^(?:https?|wss?):$/.test(url.protocol))
    throw wrong(where, 'a URL of http, https, ws or wss', value)
}

const CHECKS: Record<keyof ViteProxyOptions, Check> = {
  target,
  changeOrigin: boolean,
  ws: boolean,
  rewrite: callback,
  rewriteWsOrigin: boolean,
  bypass: callback,
  secure: boolean,
  headers: textMap,
  localAddress: text,
}

/** A key that `path` would read as a pattern. */
const PATTERN_CHARACTER = /[:*{}\\]/

/** A route without `ws` leaves WebSockets to the next routes. */
const NO_WEBSOCKET = { header: 'upgrade', not: /\bwebsocket\b/i }

/**
 * The routes of a table as Vite's `server.proxy` has it: `wsTunnel({ routes: fromViteProxy(config.server.proxy) })`. As in Vite, the first
 * entry that matches counts, an entry that begins with `^` is a RegExp, and only entries with `ws` or a target `ws:` get WebSockets.
 * Two things differ: `/api` does not match `/apix`, and a RegExp does not see the query. `rewrite` gets the `req.url` of the framework, so the
 * table belongs at `/`, as in Vite.
 *
 * @typeParam Req the request that `bypass` gets
 * @throws {WsTunnelError} `WST_ERR_OPTION` for a wrong entry, and for an option of Vite that has no effect here.
 */
export function fromViteProxy<Req extends ProxiedRequest = IncomingMessage>(
  table: Readonly<Record<string, string | ViteProxyOptions<Req>>>,
): RouteOptions<Req>[] {
  if (!isRecord(table)) throw wrong('server.proxy', 'an object with a path and a target for each backend', table)
  return Object.entries(table).map(([key, entry]) => routeOf(key, entry as string | ViteProxyOptions<Req>))
}

function routeOf<Req extends ProxiedRequest>(key: string, entry: string | ViteProxyOptions<Req>): RouteOptions<Req> {
  const where = `server.proxy[${JSON.stringify(key)}]`
  if (!/^\^|^\//.test(key))
    throw wrong(where, 'named by a path that begins with "/", or by a RegExp that begins with "^"', key)
  if (typeof entry !== 'string' && !isRecord(entry)) throw wrong(where, 'a URL or an object with a target', entry)
  const given = typeof entry === 'string' ? { target: entry, changeOrigin: true } : entry
  const options = checked(where, given, CHECKS) as ViteProxyOptions<Req>
  if (options.target === undefined) throw wrong(`${where}.target`, 'given', undefined)
  const url = new URL(String(options.target))
  const takesWebSockets = options.ws ?? /^wss?:$/.test(url.protocol)
  const editing = requestHeadersOf<Req>(options, url)
  return {
    ...whereTo(where, key, options, url),
    preserveHost: options.changeOrigin !== true,
    ...(takesWebSockets ? {} : { when: [NO_WEBSOCKET], upgrade: false }),
    ...(options.secure === false && { tls: { rejectUnauthorized: false } }),
    ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
    ...(editing !== undefined && { requestHeaders: editing }),
  }
}

function whereTo<Req extends ProxiedRequest>(
  where: string,
  key: string,
  options: ViteProxyOptions<Req>,
  { protocol, host, pathname }: URL,
): Pick<RouteOptions<Req>, 'path' | 'target' | 'mapping'> {
  const { rewrite, bypass } = options
  const origin = `${protocol}//${host}`
  const base = pathname.replace(/\/+$/, '')
  const isPlain = key.startsWith('/') && !PATTERN_CHARACTER.test(key)
  if (isPlain && rewrite === undefined && bypass === undefined) return { path: key, target: origin + base + key }
  const send = (req: Req): TargetResult => ({ url: origin, path: base + (rewrite?.(req.url ?? '/') ?? req.url ?? '/') })
  return {
    path: isPlain ? key : patternOf(where, key),
    // Vite matches the path as the client wrote it, and so `rewrite` expects it.
    mapping: 'encoded',
    target: bypass === undefined ? send : async req => (await bypassed(req, options)) ?? send(req),
  }
}

/** The RegExp of an entry. A prefix ends at the end of a segment. */
function patternOf(where: string, key: string): RegExp {
  if (key.startsWith('^')) {
    try {
      return new RegExp(key)
    } catch {
      throw wrong(where, 'a RegExp', key)
    }
  }
  return new RegExp(`^${key.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&')}${key.endsWith('/') ? '' : '(?=/|$)'}`)
}

/** What `bypass` makes of a request; `undefined` if it goes to the backend. */
async function bypassed<Req extends ProxiedRequest>(
  req: Req,
  options: ViteProxyOptions<Req>,
): Promise<TargetResult | undefined> {
  const result = await options.bypass?.(req, undefined, options)
  if (result === false) return { status: 404 }
  if (typeof result !== 'string') return undefined
  // The request of Fastify has the URL of Node's request.
  const own: ProxiedRequest = req.raw ?? req
  own.url = result
  return false
}

function requestHeadersOf<Req extends ProxiedRequest>(
  { headers: given = {}, rewriteWsOrigin }: ViteProxyOptions<Req>,
  { protocol, host }: URL,
): RouteOptions<Req>['requestHeaders'] {
  const headers = given as Record<string, string>
  if (!rewriteWsOrigin) return Object.keys(headers).length === 0 ? undefined : { set: headers }
  // An origin has the scheme of pages (RFC 6454 4), not that of the WebSocket.
  const origin = `${protocol.replace(/^ws/, 'http')}//${host}`
  return (list, { req }) => {
    for (const [name, value] of Object.entries(headers)) list.set(name, value)
    if (req.headers['sec-websocket-version'] !== undefined && list.has('origin')) list.set('origin', origin)
  }
}
