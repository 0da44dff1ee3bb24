import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { addVia, type Forwarding, requestHeaders } from '../../../packages/core/src/http/forwarded.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { requestOf } from '../../support/request.ts'

const listOf = (...lines: string[]): HeaderList => HeaderList.from(requestOf(lines).rawHeaders)
const linesOf = (list: HeaderList): string[] => Array.from(list, ([name, value]) => `${name}: ${value}`)

const FORWARDING: Forwarding = {
  clientAddress: '192.0.2.7',
  encrypted: false,
  host: 'front.example',
  targetHost: 'backend:9000',
  trusted: false,
  appends: false,
  serverName: 'gateway',
  httpVersion: '1.1',
  addHeaders: true,
  preserveHost: false,
  via: 'off',
}

const OURS = [
  'X-Forwarded-For: 192.0.2.7',
  'X-Forwarded-Host: front.example',
  'X-Forwarded-Server: gateway',
  'X-Forwarded-Proto: http',
]

const requests: [what: string, lines: string[], forwarding: Partial<Forwarding>, sent: string[]][] = [
  [
    'Host first, then the fields of the client in their order, then ours',
    ['X-B: 2', 'Host: front.example', 'x-a: 1', 'X-B: 3'],
    {},
    ['Host: backend:9000', 'X-B: 2', 'x-a: 1', 'X-B: 3', ...OURS],
  ],
  ['preserveHost', ['Host: front.example'], { preserveHost: true }, ['Host: front.example', ...OURS]],
  ['Expect is not forwarded', ['Expect: 100-continue'], {}, ['Host: backend:9000', ...OURS]],
  [
    'the pseudo-fields of HTTP/2 are not forwarded',
    [':method: GET', ':authority: front.example', 'a: 1'],
    { addHeaders: false },
    ['Host: backend:9000', 'a: 1'],
  ],
  ['https', [], { encrypted: true }, ['Host: backend:9000', ...OURS.slice(0, 3), 'X-Forwarded-Proto: https']],
  [
    'X-Forwarded-* and Forwarded of an untrusted peer are removed',
    [
      'X-Forwarded-For: 9.9.9.9',
      'x-forwarded-host: evil',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: 1',
      'Forwarded: for=9.9.9.9',
    ],
    {},
    ['Host: backend:9000', ...OURS],
  ],
  [
    'the names with underscores of an untrusted peer are removed too',
    ['X_Forwarded_For: 9.9.9.9', 'x-forwarded_host: evil', 'X_Other: kept'],
    {},
    ['Host: backend:9000', 'X_Other: kept', ...OURS],
  ],
  [
    'they are removed even without addHeaders',
    ['X-Forwarded-For: 9.9.9.9', 'Forwarded: for=9.9.9.9'],
    { addHeaders: false },
    ['Host: backend:9000'],
  ],
  [
    'values are appended to those of a trusted peer, and its protocol stays',
    [
      'X-Forwarded-For: 9.9.9.9',
      'X-Forwarded-Host: outer',
      'X-Forwarded-Server: o',
      'X-Forwarded-Proto: https',
      'A: 1',
    ],
    { trusted: true },
    [
      'Host: backend:9000',
      'X-Forwarded-For: 9.9.9.9, 192.0.2.7',
      'X-Forwarded-Host: outer, front.example',
      'X-Forwarded-Server: o, gateway',
      'X-Forwarded-Proto: https',
      'A: 1',
    ],
  ],
  [
    "trustProxy: 'append' adds no protocol",
    ['X-Forwarded-For: 9.9.9.9'],
    { trusted: true, appends: true },
    ['Host: backend:9000', 'X-Forwarded-For: 9.9.9.9, 192.0.2.7', ...OURS.slice(1, 3)],
  ],
  [
    "trustProxy: 'append' keeps the protocol that the client sent",
    ['X-Forwarded-Proto: https'],
    { trusted: true, appends: true },
    ['Host: backend:9000', 'X-Forwarded-Proto: https', ...OURS.slice(0, 3)],
  ],
  [
    'several lines of a trusted peer become one line',
    ['X-Forwarded-For: 1.1.1.1', 'A: 1', 'X-Forwarded-For: 2.2.2.2'],
    { trusted: true },
    ['Host: backend:9000', 'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7', 'A: 1', ...OURS.slice(1)],
  ],
  [
    'a name with underscores is removed even from a trusted peer',
    ['X_Forwarded_For: 9.9.9.9'],
    { trusted: true },
    ['Host: backend:9000', ...OURS],
  ],
  [
    'a trusted peer cannot remove by Connection what we append to',
    ['Connection: X-Forwarded-For', 'X-Forwarded-For: 9.9.9.9'],
    { trusted: true },
    ['Host: backend:9000', 'X-Forwarded-For: 9.9.9.9, 192.0.2.7', ...OURS.slice(1)],
  ],
  [
    'a peer without an address adds no empty member to X-Forwarded-For',
    ['X-Forwarded-For: 9.9.9.9'],
    { trusted: true, clientAddress: '' },
    ['Host: backend:9000', 'X-Forwarded-For: 9.9.9.9', ...OURS.slice(1)],
  ],
  [
    'an empty X-Forwarded-For of a trusted peer is no member',
    ['X-Forwarded-For:'],
    { trusted: true },
    ['Host: backend:9000', ...OURS],
  ],
  [
    'a peer without an address adds no X-Forwarded-For',
    [],
    { clientAddress: '' },
    ['Host: backend:9000', ...OURS.slice(1)],
  ],
  ['via off', ['Via: 1.0 prev'], { addHeaders: false }, ['Host: backend:9000', 'Via: 1.0 prev']],
  ['via on', ['Via: 1.0 prev'], { addHeaders: false, via: 'on' }, ['Host: backend:9000', 'Via: 1.0 prev, 1.1 gateway']],
  ['via full', [], { addHeaders: false, via: 'full' }, ['Host: backend:9000', 'Via: 1.1 gateway (ws-tunnel)']],
  ['via block', ['Via: 1.0 prev', 'via: 1.1 x'], { addHeaders: false, via: 'block' }, ['Host: backend:9000']],
]

test('writes the header fields for the backend', () => {
  for (const [what, lines, forwarding, sent] of requests) {
    assert.deepEqual(linesOf(requestHeaders(requestOf(lines), { ...FORWARDING, ...forwarding })), sent, what)
  }
})

type Headers = Record<string, string | string[] | undefined>

const changes: [what: string, lines: string[], headers: Headers, forwarding: Partial<Forwarding>, sent: string[]][] = [
  [
    'a changed field keeps its place and spelling, an added one comes last, a deleted one is not sent',
    ['X-User: root', 'X-Admin: yes', 'X-B: 1', 'x-b: 2', 'Cookie: a=1', 'Cookie: b=2'],
    { 'x-user': 'alice', 'x-admin': undefined, 'x-id': '7' },
    {},
    ['X-User: alice', 'X-B: 1', 'x-b: 2', 'Cookie: a=1', 'Cookie: b=2', 'x-id: 7'],
  ],
  [
    'a list becomes lines where the field was',
    ['X-A: 1', 'X-B: 2', 'x-a: 3'],
    { 'x-a': ['4', '5', '6'] },
    {},
    ['X-A: 4', 'X-A: 5', 'X-A: 6', 'X-B: 2'],
  ],
  ['another spelling replaces the field of the client', ['x-user: root'], { 'X-User': 'alice' }, {}, ['x-user: alice']],
  [
    'Connection of the client does not take away what the app has set',
    ['Connection: x-user, x-new, x-b', 'X-User: root', 'X-B: 1'],
    { 'x-user': 'alice', 'x-new': '1' },
    {},
    ['X-User: alice', 'x-new: 1'],
  ],
  [
    'a name with underscores does not stand beside the field that the app has changed or deleted',
    ['X_User: root', 'X_Admin: yes', 'X-Admin: yes', 'X_Other: 1'],
    { 'x-user': 'alice', 'x-admin': undefined },
    {},
    ['X_Other: 1', 'x-user: alice'],
  ],
  [
    'hop-by-hop fields of the app are not sent',
    ['Connection: close'],
    { connection: 'x-b', te: 'trailers', 'keep-alive': 'a', trailer: 'x', upgrade: 'foo', expect: '100-continue' },
    {},
    [],
  ],
  ['Host is the target, whatever the app sets', ['Host: front.example'], { host: 'app.example' }, {}, []],
]

test('sends what the app has changed in req.headers', () => {
  for (const [what, lines, headers, forwarding, sent] of changes) {
    const req = requestOf(lines)
    Object.assign(req.headers, headers)
    const list = requestHeaders(req, { ...FORWARDING, addHeaders: false, ...forwarding })
    assert.deepEqual(linesOf(list), ['Host: backend:9000', ...sent], what)
  }
})

test('preserveHost sends the Host that the app has set, and X-Forwarded-Host the one of the client', () => {
  const req = requestOf(['Host: front.example'])
  const hosts = (): (string | undefined)[] => {
    const list = requestHeaders(req, { ...FORWARDING, preserveHost: true })
    return [list.get('host'), list.get('x-forwarded-host')]
  }
  req.headers.host = 'app.example'
  assert.deepEqual(hosts(), ['app.example', 'front.example'])
  delete req.headers.host
  assert.deepEqual(hosts(), ['backend:9000', 'front.example'])
})

test('appends nothing to a forwarded field that the app has set, whether or not the peer is trusted', () => {
  for (const trusted of [false, true]) {
    const req = requestOf(['X-Forwarded-For: 9.9.9.9', 'X-Forwarded-Port: 1', 'Forwarded: for=9.9.9.9'])
    Object.assign(req.headers, {
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-host': 'app.example',
      'x-forwarded-server': 'app',
      'x-forwarded-proto': 'https',
      x_forwarded_for: '8.8.8.8',
      forwarded: 'for=203.0.113.9',
    })
    const { 'x-forwarded-port': _, ...kept } = Object.fromEntries(
      Array.from(requestHeaders(req, { ...FORWARDING, trusted }), ([name, value]) => [name.toLowerCase(), value]),
    )
    assert.deepEqual(kept, {
      host: 'backend:9000',
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-host': 'app.example',
      'x-forwarded-server': 'app',
      'x-forwarded-proto': 'https',
      forwarded: 'for=203.0.113.9',
    })
  }
})

test('adds its own forwarded fields where the app has deleted those of a trusted peer', () => {
  const req = requestOf(['X-Forwarded-For: 9.9.9.9', 'X-Forwarded-Proto: https'])
  delete req.headers['x-forwarded-for']
  delete req.headers['x-forwarded-proto']
  assert.deepEqual(linesOf(requestHeaders(req, { ...FORWARDING, trusted: true })), ['Host: backend:9000', ...OURS])
})

test('adds Via to a response as to a request', () => {
  const via = (how: Forwarding['via'], ...lines: string[]): string[] =>
    linesOf(addVia(listOf(...lines), { via: how, httpVersion: '1.0', serverName: 'gateway' }))
  assert.deepEqual(via('on', 'A: 1'), ['A: 1', 'Via: 1.0 gateway'])
  assert.deepEqual(via('on', 'Via: 1.1 b', 'A: 1', 'Via: 1.1 c'), ['Via: 1.1 b, 1.1 c, 1.0 gateway', 'A: 1'])
  assert.deepEqual(via('off', 'Via: 1.1 b'), ['Via: 1.1 b'])
  assert.deepEqual(via('block', 'Via: 1.1 b'), [])
})

interface Vector {
  id: string
  conf: string
  request: string[]
  status: string
  backendSaw: string[]
}

/** What the httpd configuration of a vector means for us. */
const SETTINGS: Record<string, Partial<Forwarding>> = {
  h2: { preserveHost: true },
  h5: { via: 'on' },
  h6: { via: 'full' },
  h8: {},
  h9: {},
  h15: {},
  h18: { targetHost: 'localhost:21060' },
}

const DIFFERENT: Record<string, { why: string; replace?: [httpd: string, ours: string] }> = {
  h6: { why: 'the product in Via is our own', replace: ['(Apache/2.4.71)', '(ws-tunnel)'] },
  h9: {
    why: 'X-Forwarded-* cannot be nominated away',
    replace: ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-For: 1.1.1.1, 127.0.0.1'],
  },
  h11: { why: 'Max-Forwards is not counted down' },
  h12: { why: 'Max-Forwards is not read' },
  h13: { why: 'there is no option for ProxyMaxForwards' },
  h19: { why: 'we never send HTTP/1.0 to the backend' },
}

const { headers: vectors } = JSON.parse(
  readFileSync(new URL('../../httpd/vectors/headers-reverse.json', import.meta.url), 'utf8'),
) as { headers: Vector[] }

test('sends the backend the same fields as a real httpd', () => {
  for (const { id, request, backendSaw } of vectors) {
    const settings = SETTINGS[id]
    const different = DIFFERENT[id]
    assert.ok(settings !== undefined || different !== undefined, `${id} has neither settings nor a difference`)
    if (settings === undefined) continue
    const host = (request[0] as string).slice('Host: '.length)
    const forwarding = {
      ...FORWARDING,
      clientAddress: '127.0.0.1',
      host,
      serverName: `${id}.test`,
      targetHost: '127.0.0.1:21060',
      // httpd appends to the X-Forwarded-* of every peer.
      trusted: true,
      ...settings,
    }
    const ours = linesOf(requestHeaders(requestOf(request), forwarding)).filter(
      line => !/^X-Forwarded-Proto/.test(line),
    )
    const [httpd = '', own = ''] = different?.replace ?? []
    const theirs = backendSaw.slice(1).filter(line => !/^Connection:/.test(line))
    const fields = (lines: string[]): string[] => lines.map(line => line.replace(httpd, own)).toSorted()
    assert.deepEqual(ours.toSorted(), fields(theirs), `${id}: ${different?.why ?? ''}`)
    assert.equal(ours[0], theirs[0], 'Host comes first')
  }
})
