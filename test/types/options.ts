// Compiled by `tsc -p tsconfig.check.json`, never run: what must compile does, and each line below a `@ts-expect-error` must not.

import { Resolver } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import {
  type Balancer,
  checkOptions,
  createTunnelProxy,
  type LbFunction,
  type MemberState,
  type Only,
  type RouteOptions,
  type Target,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { wsTunnel } from '@ws-tunnel/express'
import plugin, { tunnelProxies, wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import { fixRequestBody, hpm, responseInterceptor } from '@ws-tunnel/http-proxy-middleware'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import express, { type Request, type Response } from 'express'
import fastify from 'fastify'

const accept = (_options: WsTunnelOptions): void => {}
const route = (_route: RouteOptions): void => {}

// One target, or routes.
accept({ target: 'ws://h/' })
accept({ routes: [{ target: 'ws://h/' }] })
accept({ routes: [{ target: 'ws://h/' }, { path: '/a', target: false }, { path: /^\/(.)/, target: 'ws://h/$1' }] })
accept({ target: 'ws://h/', when: [{ test: () => true }] })
accept({ idleTimeout: 60_000, upgrade: 'ANY', routes: [{ target: 'ws://h/', idleTimeout: 0 }] })
accept(Object.freeze({ routes: Object.freeze([Object.freeze({ target: 'ws://h/' })]) }))
// @ts-expect-error `target` or `routes` is required
accept({})
// @ts-expect-error `target` and `routes` exclude each other
accept({ target: 'ws://h/', routes: [] })
// @ts-expect-error a path belongs to a route
accept({ target: 'ws://h/', path: '/a' })
// @ts-expect-error conditions belong to a route
accept({ routes: [], when: [] })
// @ts-expect-error routes are a list
accept({ routes: { target: 'ws://h/' } })
// @ts-expect-error a route has a target
accept({ routes: [{ path: '/a' }] })
// @ts-expect-error a misspelt option
accept({ target: 'ws://h/', idleTimeOut: 1 })
// @ts-expect-error a misspelt option of a route
accept({ routes: [{ target: 'ws://h/', fallBack: false }] })
// @ts-expect-error an option of the proxy is not an option of a route
accept({ routes: [{ target: 'ws://h/', onOpen: () => {} }] })

// Targets.
const byCaptures: Target = (req, { groups, params, conditionGroups, rest }) =>
  `ws://h/${groups[1]}/${params['room']}/${conditionGroups[1]}${rest}${req.url}`
route({ target: byCaptures })
route({ target: () => false })
route({ target: async req => (req.headers.host === 'a' ? 'ws://a/' : false) })
// @ts-expect-error true is not a target
route({ target: true })
route({ target: new URL('ws://h/') })
route({ target: () => new URL('ws://h/') })
// @ts-expect-error a function returns a URL or false
route({ target: () => undefined })
// @ts-expect-error a function does not return a number
route({ target: async () => 80 })

// Paths and conditions.
route({
  target: false,
  path: '/a',
  when: [{ header: 'upgrade', matches: /websocket/i }, { any: [{ test: () => true }] }],
})
route({ target: false, when: [{ header: 'upgrade', not: /h2c/ }] })
// @ts-expect-error a path is not a list
route({ target: false, path: ['/a', '/b'] })
// @ts-expect-error a pattern is a RegExp
route({ target: false, when: [{ header: 'upgrade', matches: 'websocket' }] })
// @ts-expect-error a condition on a header has `matches` or `not`
route({ target: false, when: [{ header: 'upgrade' }] })
// @ts-expect-error conditions are a list
route({ target: false, when: { test: () => true } })
// @ts-expect-error a test is not async, because a promise would always hold
route({ target: false, when: [{ test: async () => true }] })
// @ts-expect-error any is a list
route({ target: false, when: [{ any: { test: () => true } }] })

// Values of options.
route({ target: false, upgrade: ['websocket', 'foo'], maxTunnels: 5, keepAlive: 0, via: 'full', join: 'concat' })
// @ts-expect-error a duration is a number of ms
route({ target: false, idleTimeout: '60s' })
// @ts-expect-error keepAlive is a number of ms too
route({ target: false, keepAlive: true })
route({ target: 'http://h/', upgrade: false })
// @ts-expect-error an upgrade token is a string
route({ target: false, upgrade: /websocket/ })
// @ts-expect-error not one of the three values
route({ target: false, encodedSlashes: 'on' })
// @ts-expect-error not one of the two values
route({ target: false, join: 'both' })
// @ts-expect-error not one of the four values
route({ target: false, via: true })
// @ts-expect-error On is written as true
route({ target: false, fallback: 'On' })
// @ts-expect-error origins are a list
route({ target: false, allowedOrigins: 'https://app.example' })

// Offload, by either name.
route({ target: false, offload: true })
route({ target: false, offload: { delay: 50, threads: 4 } })
route({ target: false, async: true, asyncDelay: 50, threads: 4 })
// @ts-expect-error an unknown option of offload
route({ target: false, offload: { asyncDelay: 50 } })

// Header fields.
route({ target: false, requestHeaders: { set: { 'X-A': '1' }, append: { 'X-B': '2' }, unset: ['X-C'] } })
route({
  target: false,
  responseHeaders: (headers, { req }) => void headers.set('X-Url', req.url ?? '').unset('Server'),
})
route({
  target: false,
  responseHeaders: (headers, { choice }) => void headers.set('X-Member', choice?.member.routeId ?? ''),
})
// @ts-expect-error the second parameter is { req, choice }
route({ target: false, requestHeaders: (headers, req: IncomingMessage) => void headers.set('X-Url', req.url ?? '') })
// @ts-expect-error a value is a string
route({ target: false, requestHeaders: { set: { 'X-A': 1 } } })
// @ts-expect-error unset is a list
route({ target: false, requestHeaders: { unset: 'X-A' } })
// @ts-expect-error an unknown edit
route({ target: false, requestHeaders: { remove: ['X-A'] } })

// ProxyPassReverse, TLS, lookup.
route({
  target: false,
  passReverse: true,
  passReverseCookiePath: { '/b': '/a' },
  tls: { ca: 'x', rejectUnauthorized: true },
})
route({ target: false, passReverse: { 'http://h/b': '/a' } })
route({ target: false, lookup: (_name, _options, callback) => callback(null, '127.0.0.1', 4) })
// @ts-expect-error pairs are an object
route({ target: false, passReverse: ['/a', '/b'] })
// @ts-expect-error an unknown option of tls.connect
route({ target: false, tls: { certificate: 'x' } })

// Options of the proxy.
accept({ target: false, trustProxy: ['loopback', '10.0.0.0/8'], serverName: 'gateway', drainTimeout: 0 })
accept({ target: false, trustProxy: (address, hop) => address === '127.0.0.1' && hop === 0 })
accept({
  target: false,
  onOpen: ({ tunnel, req, proxy }) => void [tunnel.info.url.length, req.url, proxy.tunnels.size],
  onClose: ({ tunnel, end: { reason, bytesFromClient, error }, proxy }) =>
    void [tunnel.id + bytesFromClient, reason === 'idle', error?.message, proxy.tunnels.size],
  onError: ({ error, req }) => void [error.code === 'WST_ERR_CONNECT', error.statusCode + 1, req.url],
})
const only: Only[] = ['/a', ['/a', '/b'], req => req.url === '/a']
accept({ target: false, only: only[0] })
// @ts-expect-error a prefix is a string
accept({ target: false, only: /^\/a/ })
// @ts-expect-error not an object, as in Express
accept({ target: false, trustProxy: {} })
// @ts-expect-error an unknown reason
accept({ target: false, onClose: ({ end }) => void (end.reason === 'timeout') })
// @ts-expect-error an unknown code
accept({ target: false, onError: ({ error }) => void (error.code === 'ECONNREFUSED') })

// Health checks and discovered members.
const members = [
  { url: 'ws://a', healthCheck: { uri: '/up' } },
  { url: 'ws://b', healthCheck: false },
  { url: 'ws://c', resolve: { type: 'SRV', resolver: new Resolver() } },
  { url: 'ws://d', resolve: { resolver: async () => [{ address: '10.0.0.1' }] } },
] as const
accept({
  target: 'balancer://x',
  balancers: { x: { members, healthCheck: { method: 'GET', expect: a => a.body !== '' } } },
})
// @ts-expect-error the check of a balancer has a method
accept({ target: false, balancers: { x: { members, healthCheck: { interval: 5 } } } })
// @ts-expect-error expect is synchronous: a promise would always be true
accept({ target: false, balancers: { x: { members, healthCheck: { method: 'GET', expect: async () => true } } } })
// @ts-expect-error an unknown type of record
accept({ target: false, balancers: { x: { members: [{ url: 'ws://a', resolve: { type: 'MX' } }] } } })

// A member at run time: what a user may read and call, and nothing of the class behind it.
const manage = (balancer: Balancer): void => {
  for (const member of balancer.members) {
    member.status = '+N'
    member.change({ loadFactor: 2, routeId: '' })
    member.drain()
    member.disable()
    member.enable()
    member.standby()
    const states: Record<MemberState, boolean> = {
      stopped: false,
      disabled: false,
      error: false,
      failing: false,
      draining: true,
      standby: true,
      spare: true,
      usable: true,
    }
    void [member.selected + member.busy, states[member.state], member.health?.ok, member.available]
    // @ts-expect-error counters are read-only
    member.selected = 0
    // @ts-expect-error the state is derived from `status`
    member.state = 'draining'
    // @ts-expect-error an internal method
    member.fail()
    balancer.remove(member)
  }
  // @ts-expect-error an internal method
  balancer.close()
}
void manage

// Checks without a proxy.
checkOptions({ target: 'ws://h/' })
// @ts-expect-error `target` or `routes` is required
checkOptions({})

// The proxy, the middleware, the plugin.
const proxy = createTunnelProxy({ target: 'ws://h/' })
void proxy.close({ drainTimeout: 5 })
for (const tunnel of proxy.tunnels) void tunnel.close()
// @ts-expect-error the set of tunnels is read-only
proxy.tunnels.clear()
// @ts-expect-error the info is read-only
for (const tunnel of proxy.tunnels) tunnel.info.route = 1
// @ts-expect-error no such option of close
void proxy.close({ timeout: 5 })

const app = express()
app.use('/a', wsTunnel({ target: 'ws://h/' }))
app.get('/a/:room', wsTunnel({ target: 'ws://h/' }))
void wsTunnel({ target: 'ws://h/' }).close()
// @ts-expect-error options are an object
app.use('/a', wsTunnel('ws://h/'))
// @ts-expect-error the mount point is not an option, Express has it
app.use(wsTunnel({ prefix: '/a', target: 'ws://h/' }))

const server = fastify()
server.register(wsTunnelPlugin, { prefix: '/a', target: 'ws://h/' })
server.get('/live', wsTunnelHandler({ target: 'ws://h/' }))
server.register(plugin, { prefix: '/b', target: 'ws://h/' })
for (const { tunnels } of server.tunnelProxies) void tunnels.size
for (const { routes } of tunnelProxies(server)) void routes[0]?.index
void wsTunnelHandler({ target: 'ws://h/' }).tunnels.size
// @ts-expect-error the decorator is read-only
server.tunnelProxies = new Set()
// @ts-expect-error and so is its set
server.tunnelProxies.clear()
// @ts-expect-error the plugin has the same options
server.register(wsTunnelPlugin, { prefix: '/a', target: 'ws://h/', idleTimeout: '60s' })
// @ts-expect-error `target` or `routes` is required
server.register(wsTunnelPlugin, { prefix: '/a' })

// Functions and engines in `fallback`.
accept({ target: 'ws://h/', fallback: (req, res, next) => (req.url === '/' ? res.end() : next()) })
accept({ target: 'ws://h/', fallback: (_req: Request, res: Response) => res.json({}) })
accept({ target: 'ws://h/', fallback: express.static('public') })
accept({ target: 'ws://h/', fallback: hpm() })
accept({
  target: 'ws://h/',
  fallback: hpm<Request, Response>({ on: { proxyRes: (_proxyRes, req, res) => void res.cookie('a', req.ip) } }),
})
hpm({ on: { proxyReq: fixRequestBody, proxyRes: responseInterceptor(async body => body) }, selfHandleResponse: true })
// @ts-expect-error the route says where a request goes
hpm({ target: 'http://h/' })
// @ts-expect-error upgrades are tunnels
hpm({ on: { proxyReqWs: () => {} } })
// @ts-expect-error neither a function nor an engine
accept({ target: 'ws://h/', fallback: 'hpm' })

// The request of the framework in every function: what middleware declares, and Express's own members where they are named.
declare global {
  namespace Express {
    interface Request {
      user?: { id: string }
    }
  }
}
declare module 'fastify' {
  interface FastifyRequest {
    user: { id: string }
  }
}
const member: LbFunction<{ user: string }> = (candidates, { user }) => candidates.find(each => each.routeId === user)
app.use(
  wsTunnel({
    target: req => `ws://h/${req.user?.id}/${req.originalUrl}`,
    when: [{ test: req => req.user !== undefined }, { any: [{ test: ({ user }) => user?.id === 'a' }] }],
    requestHeaders: (headers, { req }) => void headers.set('X-User', req.user?.id ?? ''),
    guard: req => void req.user?.id.length,
    rewrite: (req, url) => (req.user === undefined ? url : undefined),
    balancers: {
      x: { members, lbMethod: (candidates, req) => candidates.find(each => each.routeId === req.user?.id) },
    },
    onOpen: ({ req }) => void req.user?.id,
    onError: ({ req }) => void req.user?.id,
    only: req => req.url === '/',
  }),
)
app.use(wsTunnel<Request>({ target: req => `ws://h/${req.query['room']}/${req.ip}/${req.user?.id}` }))
app.use(wsTunnel({ target: (req: Request) => `ws://h/${req.params['room']}`, onOpen: ({ req }) => void req.ip }))
app.use(wsTunnel({ routes: [{ target: (req: Request) => `ws://h/${req.params['room']}` }] }))
server.register(wsTunnelPlugin, {
  target: req => `ws://h/${req.user.id}/${req.ip}`,
  responseHeaders: (headers, { req }) => void headers.set('X-Id', req.id),
  onError: ({ req }) => req.log.warn('no tunnel'),
})
wsTunnelHandler({ routes: [{ target: req => (req.user.id === '' ? false : 'ws://h/') }] })
server.register(wsTunnelPlugin, fromHttpdConf('site.conf'))
app.use(wsTunnel(fromHttpdConf('site.conf')))
createTunnelProxy<IncomingMessage & { tenant: string }>({ target: req => `ws://${req.tenant}/` })
accept({ target: 'balancer://x', balancers: { x: { members, lbMethod: 'bybusyness' } } })
// @ts-expect-error a function of another request than the proxy's
accept({ target: 'balancer://x', balancers: { x: { members, lbMethod: member } } })
// @ts-expect-error members of Express's own request are there where it is named
app.use(wsTunnel({ target: req => `ws://h/${req.query}` }))
// @ts-expect-error no such member of the request
app.use(wsTunnel({ onOpen: ({ req }) => void req.account, target: 'ws://h/' }))
// @ts-expect-error not a request of Node
wsTunnel<{ user: string }>({ target: 'ws://h/' })
// @ts-expect-error Fastify has its own request, which has no rawHeaders
server.register(wsTunnelPlugin, { target: req => `ws://h/${req.rawHeaders[0]}` })
// @ts-expect-error before Fastify has its request, there is that of Node
wsTunnelHandler({ target: 'ws://h/', only: req => req.params === undefined })
