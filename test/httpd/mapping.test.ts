import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { RouteOptions } from '@ws-tunnel/core'
import { type Script, switchingHead } from '../support/backend.ts'
import { connect, plainRequest, upgradeRequest } from '../support/client.ts'
import { startBackend, startGateway } from '../support/harness.ts'

/** The result of one request target under one configuration of a real httpd 2.4.71. */
interface Vector {
  id: string
  conf: string
  /** One character per byte. */
  target: string
  /** `B60 GET <path> Host=...` as the backend on port 21060 got it, or the status. */
  result: string
}

const recorded = JSON.parse(readFileSync(new URL('vectors/mapping.json', import.meta.url), 'utf8')) as Vector[]

const U60 = 'http://127.0.0.1:21060'

/** More observations by configuration: request target -> path at the backend, or status. */
const OBSERVED: Record<string, [conf: string, seen: Record<string, string>]> = {
  m25: [`ProxyPass "/a/" "${U60}/b"`, { '/a/x': '/bx' }],
  m26: [`ProxyPass "/a" "${U60}/b/"`, { '/a': '/b/', '/a/x': '/b//x' }],
  m38: [`ProxyPassMatch "\\.gif$" "${U60}"`, { '/x/y.gif?q': '/x/y.gif?q', '/.GIF': '404' }],
  m40: [`ProxyPassMatch "^/q(.*)$" "${U60}$1"`, { '/q': '/', '/q/x': '/x', '/qx': '500' }],
  m43: [
    `AllowEncodedSlashes NoDecode\nProxyPass "/a" "${U60}/b"`,
    { '/a/x%2fy': '/b/x%2fy', '/a/x%252Fy': '/b/x%2Fy' },
  ],
  m44: [`AllowEncodedSlashes On\nProxyPass "/a" "${U60}/b"`, { '/a/x%2F..%2Fy': '/b/y' }],
  m45: [
    `AllowEncodedSlashes NoDecode\nProxyPass "/a" "${U60}/b" nocanon`,
    {
      '/a/x%3By?q=%20': '/b/x%3By?q=%20',
      '/a//x': '/b//x',
      '/a/./x': '/b/./x',
      '/a/%c3%a9': '/b/%c3%a9',
    },
  ],
  m52: [`ProxyPass "/a b" "${U60}/c d"`, { '/a%20b/x': '/c%20d/x' }],
  m53: [`MergeSlashes Off\nProxyPass "/a" "${U60}/b"`, { '/a//x': '/b//x', '//a/x': '/b/x' }],
}

const vectors: Vector[] = [
  ...recorded,
  ...Object.entries(OBSERVED).flatMap(([id, [conf, seen]]) =>
    Object.entries(seen).map(([target, path]) => ({
      id,
      conf,
      target,
      result: path.startsWith('/') ? `B60 GET ${path} ` : path,
    })),
  ),
]

/** The same configurations as options. `U` and `V` are the backends on ports 21060 and 21061. */
const OPTIONS: Record<string, (U: string, V: string) => RouteOptions[]> = {
  c1: U => [{ path: '/a', target: `${U}/b` }],
  c5: U => [{ path: '/', target: `${U}/` }],
  c6: U => [{ path: '/', target: U }],
  c7: U => [{ path: '/m/f', target: U }],
  c8: U => [
    { path: '/a/i', target: false },
    { path: '/a', target: `${U}/b` },
  ],
  c9: U => [
    { path: '/a', target: `${U}/b` },
    { path: '/a/i', target: false },
  ],
  c10: U => [
    { path: '/a', target: `${U}/1` },
    { path: '/a/b', target: `${U}/2` },
  ],
  c11: U => [
    { path: '/a/b', target: `${U}/2` },
    { path: '/a', target: `${U}/1` },
  ],
  c13: U => [{ path: '/l/', target: `${U}/L/` }],
  // The most specific Location wins, so it is written first.
  c16: U => [
    { path: '/l/x', target: false },
    { path: '/l', target: `${U}/outer` },
  ],
  c18: (U, V) => [
    { path: /^\/(myApp\/ws)$/, target: `${U}/$1` },
    { path: '/', target: `${V}/` },
  ],
  c20: U => [{ path: /^\/p\/(\d+)\/(.*)$/s, target: `${U}/$2/$1` }],
  c22: U => [{ path: /\/in/, target: `${U}/$0` }],
  c23: U => [{ path: /\/in/, target: `${U}/&` }],
  c24: U => [
    { path: /^\/x\/(.*)$/s, target: false },
    { path: /^\/(.*)$/s, target: `${U}/$1` },
  ],
  c25: U => [{ path: /^\/ci\/(.*)$/is, target: `${U}/$1` }],
  c28: U => [{ path: /^\/lt\/(\d+)/, target: `${U}/$1` }],
  c32: U => [{ path: '/a', target: `${U}/b`, nocanon: true }],
  // To httpd, a question mark in a ProxyPass URL does not begin a query.
  c37: U => [{ path: '/a', target: `${U}/b%3Ffixed=1` }],
  c39: U => [{ path: '//a//b', target: `${U}/c` }],
  c41: U => [{ path: '/a%20b', target: `${U}/c` }],
  c44: U => [{ path: /^\/t\/(.*)$/s, target: `${U}/$1` }],
  c45: U => [{ path: '/a', target: `${U.toUpperCase()}/b` }],
  // mod_rewrite runs before every ProxyPass.
  c47: (U, V) => [
    { path: /^\/a\/(.*)/s, target: `${V}/rw/$1` },
    { path: '/a', target: `${U}/b` },
  ],
  c49: (U, V) => [
    { path: /^\/a\/(.*)/s, target: `${V}/rw/$1` },
    { path: '/a', target: `${U}/loc` },
  ],
  c52: U => [{ path: '/a', target: `${U}/b` }],
  c55: (_, V) => [{ path: /^\/?(.*)/s, target: `${V}/$1` }],
  m25: U => [{ path: '/a/', target: `${U}/b` }],
  m26: U => [{ path: '/a', target: `${U}/b/` }],
  m38: U => [{ path: /\.gif$/, target: U }],
  m40: U => [{ path: /^\/q(.*)$/s, target: `${U}$1` }],
  m43: U => [{ path: '/a', target: `${U}/b`, encodedSlashes: 'keep' }],
  m44: U => [{ path: '/a', target: `${U}/b`, encodedSlashes: 'decode' }],
  m45: U => [{ path: '/a', target: `${U}/b`, encodedSlashes: 'keep', nocanon: true }],
  m52: U => [{ path: '/a b', target: `${U}/c d` }],
  m53: U => [{ path: '/a', target: `${U}/b`, mergeSlashes: false }],
}

/** Configurations without an equivalent in options, and why. */
const WITHOUT_OPTIONS: Record<string, string> = {
  c42: 'a target does not interpolate the environment; a target function may read it',
}

/** Deliberate differences, and why. */
const DIFFERENT: Record<string, { ours: string; why: string }> = {
  'c1 /a/\xc3\xa9': { ours: '400', why: "Node's parser refuses bytes that are not ASCII" },
  'c1 /a?\xc3\xa9': { ours: '400', why: "Node's parser refuses bytes that are not ASCII" },
  'c32 /a/\xc3\xa9': { ours: '400', why: "Node's parser refuses bytes that are not ASCII" },
  'c1 /a#frag': {
    ours: '404',
    why: 'no route matches, so the app responds; httpd refuses the request before it looks at routes',
  },
  'c6 /x': {
    ours: '403',
    why: 'the path would become part of the host: refused as a forbidden target instead of a failed lookup',
  },
  'm40 /qx': { ours: '403', why: 'a capture right after the host must begin with a slash' },
  'm43 /a/x%252Fy': { ours: 'B60 /b/x%252Fy', why: 'an escaped percent sign is not decoded twice' },
  'c20 /p/1/a%3Fb': {
    ours: '403',
    why: 'a captured question mark is refused for ProxyPassMatch as it is for RewriteRule',
  },
}

/** The path that the backend must get, or the status. */
function expected({ id, target, result }: Vector): string {
  const different = DIFFERENT[`${id} ${target}`]
  if (different !== undefined) return different.ours
  const seen = /^B(\d+) GET (\S+) /.exec(result)
  // The recorded path has one UTF-8 character for each byte.
  return seen === null ? result.slice(0, 3) : `B${seen[1]} ${Buffer.from(seen[2] as string, 'latin1').toString('utf8')}`
}

/** Switches protocols for an upgrade, and responds with 200 to any other request. */
const script: Script = async connection => {
  for (;;) {
    const request = await connection.request()
    if (request.header('upgrade') !== undefined) return connection.write(switchingHead(request))
    await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  }
}

const kinds: [kind: string, request: (target: string, host: string) => string][] = [
  ['a plain request', (target, host) => plainRequest(target, { host })],
  ['an upgrade', (target, host) => upgradeRequest(target, { host })],
]

for (const id of new Set(vectors.map(vector => vector.id))) {
  if (id in WITHOUT_OPTIONS) continue
  const optionsFor = OPTIONS[id]
  const rows = vectors.filter(vector => vector.id === id)
  test(`maps as httpd does: ${id}: ${rows[0]?.conf.replaceAll('\n', ' ')}`, async t => {
    assert.ok(optionsFor, `${id} is neither in OPTIONS nor in WITHOUT_OPTIONS`)
    const backends = [await startBackend(t, script), await startBackend(t, script)] as const
    const [U, V] = [`http://${backends[0].address}`, `http://${backends[1].address}`]
    const routes = optionsFor(U, V).map(route => ({ join: 'concat' as const, ...route }))
    const gateway = await startGateway(t, { routes })
    for (const row of rows) {
      for (const [kind, request] of kinds) {
        const client = await connect(gateway.port)
        const before = backends.map(({ seen }) => seen.length)
        const { statusCode } = await client.send(request(row.target, `${id}.test`)).responseHead()
        client.destroy()
        const at = backends.findIndex(({ seen }, i) => seen.length > (before[i] as number))
        const got = at === -1 ? String(statusCode) : `B6${at} ${backends[at]?.seen.at(-1)?.path}`
        assert.equal(got, expected(row), `${kind} for ${row.target}`)
      }
    }
  })
}

test('every listed difference belongs to a recorded request', () => {
  const rows = new Set(vectors.map(({ id, target }) => `${id} ${target}`))
  for (const key of Object.keys(DIFFERENT)) assert.ok(rows.has(key), key)
})
