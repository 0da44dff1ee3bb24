import type { IncomingMessage, ServerResponse } from 'node:http'
import { WsTunnelError } from '@ws-tunnel/core'
import { nearestName, show } from '@ws-tunnel/core/engine'
import type { OnProxyEvent, Options } from 'http-proxy-middleware'

/** The listeners that {@link HpmOptions.on} takes. Those of upgrades do not exist, because upgrades are tunnels. */
export type HpmEvents<Req extends IncomingMessage, Res extends ServerResponse> = Pick<
  OnProxyEvent<Req, Res>,
  'error' | 'proxyReq' | 'proxyRes' | 'start' | 'end' | 'econnreset'
>

/** The options of http-proxy-middleware that concern what is sent, what comes back and who is told of it. */
export interface HpmOptions<Req extends IncomingMessage = IncomingMessage, Res extends ServerResponse = ServerResponse>
  extends Pick<
    Options<Req, Res>,
    | 'plugins'
    | 'ejectPlugins'
    | 'logger'
    | 'selfHandleResponse'
    | 'cookieDomainRewrite'
    | 'cookiePathRewrite'
    | 'hostRewrite'
    | 'autoRewrite'
    | 'protocolRewrite'
    | 'headers'
    | 'auth'
  > {
  /**
   * Listeners of http-proxy-middleware. `proxyReq` is called for each backend that is tried. `error` is called once, when no backend is
   * left.
   */
  on?: HpmEvents<Req, Res>
}

type Check = (value: unknown) => boolean

const isObject: Check = value => typeof value === 'object' && value !== null && !Array.isArray(value)
const isBoolean: Check = value => typeof value === 'boolean'
const isText: Check = value => typeof value === 'string'
const isTexts: Check = value => isObject(value) && Object.values(value as object).every(isText)
const isRewrite: Check = value => value === false || isText(value) || isTexts(value)

/** What an option takes, and the test of a value. */
const TAKEN: Record<keyof HpmOptions, readonly [expected: string, check: Check]> = {
  on: ['an object of listeners', isObject],
  plugins: ['a list of plugins', value => Array.isArray(value) && value.every(plugin => typeof plugin === 'function')],
  ejectPlugins: ['true or false', isBoolean],
  logger: ['an object with info, warn and error', isObject],
  selfHandleResponse: ['true or false', isBoolean],
  cookieDomainRewrite: ['false, a domain, or an object of domains', isRewrite],
  cookiePathRewrite: ['false, a path, or an object of paths', isRewrite],
  hostRewrite: ['a host', isText],
  autoRewrite: ['true or false', isBoolean],
  protocolRewrite: ['"http" or "https"', isText],
  headers: ['an object of header fields', isTexts],
  auth: ['"user:password"', isText],
}

const EVENTS: readonly string[] = ['error', 'proxyReq', 'proxyRes', 'start', 'end', 'econnreset']

/** Options of http-proxy-middleware that contradict those of the route, and what to write instead. */
const REFUSED: Readonly<Record<string, string>> = {
  target: 'write `target` beside `fallback`: wsTunnel({ target, fallback: hpm({ ... }) })',
  router: 'write `target` as a function, or one route for each target',
  forward: 'a request goes to one backend',
  pathFilter: 'write the mount path, or `path` or `when` of the route',
  pathRewrite: 'the path of `target` replaces the one that the route matched',
  prependPath: 'the path of `target` always comes first',
  ignorePath: "write { path: '/{*rest}', target: 'http://host/fixed' }",
  toProxy: 'a backend is no forward proxy',
  ws: 'remove it: upgrades are always tunnels; write `upgrade` beside `fallback` to choose their protocols',
  upgradeTimeout: 'write `handshakeTimeout` beside `fallback`',
  agent:
    'remove it: each backend has a pool; write `keepAlive`, `tls` and `lookup` beside `fallback` for its connections',
  localAddress: 'remove it: tunnels would leave from another address',
  secure: 'write `tls: { rejectUnauthorized: false }` beside `fallback` for `secure: false`',
  ssl: 'write `tls` beside `fallback`',
  http2: 'create the server of the app yourself',
  changeOrigin: 'remove `true`, which is the default; write `preserveHost: true` beside `fallback` for `false`',
  xfwd: 'remove `true`, which is the default; write `addHeaders: false` beside `fallback` for `false`',
  preserveHeaderKeyCase: 'remove it: names keep their case',
  proxyTimeout: 'write `handshakeTimeout` and `connectTimeout` beside `fallback`',
  timeout: 'set `server.requestTimeout`',
  followRedirects:
    'remove it: clients follow redirects; write `passReverse` beside `fallback` to make them point to you',
  buffer: 'pass the stream on before the tunnel',
  method: "remove it: the backend gets the client's method",
}

const REFUSED_EVENTS: Readonly<Record<string, string>> = {
  proxyReqWs: 'write `requestHeaders` beside `fallback`',
  open: 'write `onOpen` beside `fallback`',
  close: 'write `onClose` beside `fallback`',
}

/**
 * Checks the options.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`. It names every option that contradicts one of the route.
 */
export function checkHpmOptions(options: unknown): asserts options is HpmOptions {
  if (!isObject(options)) throw wrong('Expected the options of `hpm` to be an object', options)
  const given = Object.entries(options as object).filter(([, value]) => value !== undefined)
  const events = Object.entries((options as HpmOptions).on ?? {}).filter(([, value]) => value !== undefined)
  const refused = [
    ...given.flatMap(([name]) => refusal(REFUSED, name, name)),
    ...events.flatMap(([name]) => refusal(REFUSED_EVENTS, name, `on.${name}`)),
  ]
  if (refused.length > 0)
    throw new WsTunnelError('WST_ERR_OPTION', { detail: `hpm() does not take ${refused.join('; ')}` })
  for (const [name, value] of given) {
    const taken = Object.hasOwn(TAKEN, name) ? TAKEN[name as keyof HpmOptions] : undefined
    if (taken === undefined) throw unknown(name, Object.keys(TAKEN))
    const [expected, check] = taken
    if (!check(value)) throw wrong(`Expected \`${name}\` of \`hpm\` to be ${expected}`, value)
  }
  for (const [name, value] of events) {
    if (!EVENTS.includes(name)) throw unknown(`on.${name}`, EVENTS)
    if (typeof value !== 'function') throw wrong(`Expected \`on.${name}\` of \`hpm\` to be a function`, value)
  }
}

const refusal = (table: Readonly<Record<string, string>>, key: string, name: string): string[] =>
  Object.hasOwn(table, key) ? [`\`${name}\`: ${table[key]}`] : []

const wrong = (expectation: string, value: unknown): WsTunnelError =>
  new WsTunnelError('WST_ERR_OPTION', { detail: `${expectation}, got ${show(value)}` })

function unknown(name: string, known: readonly string[]): WsTunnelError {
  const nearest = nearestName(name.replace('on.', ''), known)
  const hint = nearest === undefined ? '' : `; did you mean \`${nearest}\`?`
  return new WsTunnelError('WST_ERR_OPTION', { detail: `Unknown option \`${name}\` of \`hpm\`${hint}` })
}
