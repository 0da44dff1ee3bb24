import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestUrl } from '../../../packages/core/src/http/path.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import type { RouteOptions, Target } from '../../../packages/core/src/options/route-options.ts'
import type { MatchedRequest, Miss, Route, Routing } from '../../../packages/core/src/routing/route.ts'
import { RouteTable } from '../../../packages/core/src/routing/route-table.ts'
import { requestOf } from '../../support/request.ts'
import { listenersOf } from '../backend/workers.ts'

const TARGET = 'ws://b.test/'

function routeOf(options: Partial<RouteOptions>): Route {
  const table = new RouteTable(resolveOptions({ routes: [{ target: TARGET, ...options }] }), false)
  const [route] = table.statuses
  return route as Route
}

/** A request for `/` that the route matches. */
function matched(route: Route): MatchedRequest {
  const req = requestOf([])
  const url = new RequestUrl('/')
  const captures = route.match(req, url)
  assert.ok(captures)
  return { req, url, captures }
}

const resolve = (target: Target, signal: AbortSignal, more: Partial<RouteOptions> = {}): Routing | Promise<Routing> => {
  const route = routeOf({ target, ...more })
  return route.resolve(matched(route), signal)
}

const never = new AbortController().signal

test('shows its name, path, target, hits, tunnels and their maximum', () => {
  const route = routeOf({ path: '/a', name: 'chat', maxTunnels: 2 })
  const seen = ({ name, path, target, hits, open, maxTunnels }: Route) => [name, path, target, hits, open, maxTunnels]
  assert.deepEqual(seen(route), ['chat', '/a', TARGET, 0, 0, 2])
  route.hit()
  const release = route.acquire(undefined)
  assert.deepEqual(seen(route), ['chat', '/a', TARGET, 1, 1, 2])
  release()
  release()
  assert.equal(route.open, 0)
})

test('shows a RegExp as text, false as it is, and no target for a function', () => {
  const rows = [{ path: /^\/x/ }, { target: false as const }, { target: () => TARGET }].map(routeOf)
  assert.deepEqual(
    rows.map(({ path, target }) => [path, target]),
    [
      ['/^\\/x/', TARGET],
      ['/', false],
      ['/', undefined],
    ],
  )
})

const MISSES: [what: string, route: Partial<RouteOptions>, url: string, miss: Miss | undefined][] = [
  ['its path', { path: '/a' }, '/b', 'path'],
  ['its first condition', { when: [{ header: 'x-a', matches: /1/ }, { test: () => true }] }, '/', { condition: 0 }],
  ['its second condition', { when: [{ test: () => true }, { url: 'query', matches: /x/ }] }, '/?y', { condition: 1 }],
  ['nothing', { when: [{ url: 'query', matches: /x/ }] }, '/?x', undefined],
]

for (const [what, route, url, miss] of MISSES) {
  test(`reports ${what} as the reason why it does not match`, () => {
    const misses: Miss[] = []
    const captures = routeOf(route).match(requestOf([]), new RequestUrl(url), each => misses.push(each))
    assert.deepEqual(misses, miss === undefined ? [] : [miss])
    assert.equal(captures === null, miss !== undefined)
  })
}

test('uses the result of a target function that is no promise at once', () => {
  const routing = resolve(() => 'ws://c.test/x', never)
  assert.ok(routing && 'first' in routing)
  assert.deepEqual([routing.first.worker.origin.host, routing.first.path], ['c.test', '/x/'])
  assert.equal(
    resolve(() => false, never),
    false,
  )
  assert.deepEqual(
    resolve(() => ({ status: 410 }), never),
    { status: 410 },
  )
})

test('sends exactly the path of a function that returns { url, path }', () => {
  const routing = resolve(() => ({ url: 'http://c.test', path: '/%7e?' }), never)
  assert.equal(routing && 'first' in routing && routing.first.path, '/%7e?')
})

test('fails a target function that does not settle within handshakeTimeout', async () => {
  const routing = resolve(() => new Promise(() => {}), never, { handshakeTimeout: 20 })
  await assert.rejects(async () => routing, { code: 'WST_ERR_HANDSHAKE_TIMEOUT' })
})

test('leaves neither timer nor listener of a target function whose request is aborted', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  const controller = new AbortController()
  const routing = resolve(() => new Promise(() => {}), controller.signal, { handshakeTimeout: 60_000 })
  assert.equal(timers(), before + 1)
  const reason = new Error('gone')
  controller.abort(reason)
  await assert.rejects(
    async () => routing,
    error => error === reason,
  )
  assert.deepEqual([timers(), listenersOf(controller.signal)], [before, 0])
})

test('names what a target function threw', () => {
  const throwing: Target = () => {
    throw new TypeError('own')
  }
  assert.throws(() => resolve(throwing, never), { code: 'WST_ERR_CALLBACK', message: /TypeError: own/ })
})

test('names a balancer that does not exist', () => {
  const missing = /to name one of `balancers` \(there is none\), got balancer:\/\/x/
  assert.throws(() => routeOf({ target: 'balancer://x/' }), { code: 'WST_ERR_OPTION', message: missing })
  assert.throws(() => resolve(() => 'balancer://x/', never), { code: 'WST_ERR_CALLBACK', message: missing })
})
