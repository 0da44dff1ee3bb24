// Compiled by `tsc -p tsconfig.check.json`, never run: what must compile does, and each line below a `@ts-expect-error` must not.

import { Resolver } from 'node:dns/promises'
import { createTunnelProxy, type Only, type RouteOptions, type Target, type WsTunnelOptions } from '@ws-tunnel/core'
import { wsTunnel } from '@ws-tunnel/express'
import plugin, { tunnelProxies, wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import express from 'express'
import fastify from 'fastify'

const accept = (_options: WsTunnelOptions): void => {}
const route = (_route: RouteOptions): void => {}

// One target, or routes.
accept({ target: 'ws://h/' })
accept({ routes: [] })
accept({ routes: [{ target: 'ws://h/' }, { path: '/a', target: false }, { path: /^\/(.)/, target: 'ws://h/$1' }] })
accept({ target: 'ws://h/', when: [{ test: () => true }] })
accept({ idleTimeout: 60_000, upgrade: 'ANY', routes: [{ target: 'ws://h/', idleTimeout: 0 }] })
accept(Object.freeze({ routes: Object.freeze([Object.freeze({ target: 'ws://h/' })]) }))
// @ts-expect-error one of the two is needed
accept({})
// @ts-expect-error not both
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
// @ts-expect-error what is said once for all routes is no option of one
accept({ routes: [{ target: 'ws://h/', onOpen: () => {} }] })

// Targets.
const byCaptures: Target = (req, { groups, params, conditionGroups, rest }) =>
  `ws://h/${groups[1]}/${params['room']}/${conditionGroups[1]}${rest}${req.url}`
route({ target: byCaptures })
route({ target: () => false })
route({ target: async req => (req.headers.host === 'a' ? 'ws://a/' : false) })
// @ts-expect-error true is no target
route({ target: true })
// @ts-expect-error a URL is written as text
route({ target: new URL('ws://h/') })
// @ts-expect-error a function gives a URL or false
route({ target: () => undefined })
// @ts-expect-error and no URL object either
route({ target: () => new URL('ws://h/') })
// @ts-expect-error nor a number
route({ target: async () => 80 })

// Paths and conditions.
route({
  target: false,
  path: '/a',
  when: [{ header: 'upgrade', matches: /websocket/i }, { any: [{ test: () => true }] }],
})
route({ target: false, when: [{ header: 'upgrade', not: /h2c/ }] })
// @ts-expect-error a path is one
route({ target: false, path: ['/a', '/b'] })
// @ts-expect-error a pattern is a RegExp
route({ target: false, when: [{ header: 'upgrade', matches: 'websocket' }] })
// @ts-expect-error a condition on a header matches or does not
route({ target: false, when: [{ header: 'upgrade' }] })
// @ts-expect-error conditions are a list
route({ target: false, when: { test: () => true } })
// @ts-expect-error a test answers at once: a promise would always hold
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
// @ts-expect-error an upgrade token is text
route({ target: false, upgrade: /websocket/ })
// @ts-expect-error one of the three
route({ target: false, encodedSlashes: 'on' })
// @ts-expect-error one of the two
route({ target: false, join: 'both' })
// @ts-expect-error one of the four
route({ target: false, via: true })
// @ts-expect-error On is true here
route({ target: false, fallback: 'On' })
// @ts-expect-error origins are a list
route({ target: false, allowedOrigins: 'https://app.example' })

// Header fields.
route({ target: false, requestHeaders: { set: { 'X-A': '1' }, append: { 'X-B': '2' }, unset: ['X-C'] } })
route({
  target: false,
  responseHeaders: (headers, { req }) => void headers.set('X-Url', req.url ?? '').unset('Server'),
})
// @ts-expect-error a value is text
route({ target: false, requestHeaders: { set: { 'X-A': 1 } } })
// @ts-expect-error unset is a list
route({ target: false, requestHeaders: { unset: 'X-A' } })
// @ts-expect-error no such edit
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
// @ts-expect-error pairs are written as an object
route({ target: false, passReverse: ['/a', '/b'] })
// @ts-expect-error no option of tls.connect
route({ target: false, tls: { certificate: 'x' } })

// What is said once.
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
// @ts-expect-error a prefix is text
accept({ target: false, only: /^\/a/ })
// @ts-expect-error as Express: no object
accept({ target: false, trustProxy: {} })
// @ts-expect-error there is no such reason
accept({ target: false, onClose: ({ end }) => void (end.reason === 'timeout') })
// @ts-expect-error there is no such code
accept({ target: false, onError: ({ error }) => void (error.code === 'ECONNREFUSED') })

// Health checks, and names of members.
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
// @ts-expect-error a balancer says how
accept({ target: false, balancers: { x: { members, healthCheck: { interval: 5 } } } })
// @ts-expect-error a promise is always true
accept({ target: false, balancers: { x: { members, healthCheck: { method: 'GET', expect: async () => true } } } })
// @ts-expect-error there are no such records
accept({ target: false, balancers: { x: { members: [{ url: 'ws://a', resolve: { type: 'MX' } }] } } })

// The proxy, the middleware, the plugin.
const proxy = createTunnelProxy({ target: 'ws://h/' })
void proxy.close({ drainTimeout: 5 })
for (const tunnel of proxy.tunnels) void tunnel.close()
// @ts-expect-error tunnels are for reading
proxy.tunnels.clear()
// @ts-expect-error the info is read-only
for (const tunnel of proxy.tunnels) tunnel.info.route = 1
// @ts-expect-error no such option of close
void proxy.close({ timeout: 5 })

const app = express()
app.use('/a', wsTunnel({ target: 'ws://h/' }))
app.get('/a/:room', wsTunnel({ target: 'ws://h/' }))
void wsTunnel({ target: 'ws://h/' }).close()
// @ts-expect-error a target alone is no options
app.use('/a', wsTunnel('ws://h/'))
// @ts-expect-error the mount is Express's, and no option
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
// @ts-expect-error the plugin reads the same options
server.register(wsTunnelPlugin, { prefix: '/a', target: 'ws://h/', idleTimeout: '60s' })
// @ts-expect-error and one of target and routes is needed
server.register(wsTunnelPlugin, { prefix: '/a' })
