import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  addVia,
  editHeaders,
  type Forwarding,
  HeaderList,
  headerLines,
  headerValue,
  listMembers,
  removeHopByHop,
  requestHeaders,
} from '../../../packages/core/src/http/header-list.ts'
import type { HeaderEditing } from '../../../packages/core/src/options/options.ts'
import { requestOf } from '../../support/request.ts'

const listOf = (...lines: string[]): HeaderList => HeaderList.from(requestOf(lines).rawHeaders)
const linesOf = (list: HeaderList): string[] => Array.from(list, ([name, value]) => `${name}: ${value}`)

test('keeps order, case and number of header fields', () => {
  const raw = ['X-B', '2', 'x-a', '1', 'X-B', '3']
  const list = HeaderList.from(raw)
  assert.deepEqual(list.toRaw(), raw)
  assert.deepEqual(linesOf(list), ['X-B: 2', 'x-a: 1', 'X-B: 3'])
  assert.deepEqual(list.getAll('x-b'), ['2', '3'])
  assert.equal(list.get('x-B'), '2, 3')
  assert.equal(list.get('x-c'), undefined)
  assert.deepEqual([list.has('X-A'), list.has('x')], [true, false])
})

test('sets a field in the place of its first line, or at the end', () => {
  const list = listOf('A: 1', 'B: 2', 'a: 3').set('a', 'x').set('C', 'y')
  assert.deepEqual(linesOf(list), ['a: x', 'B: 2', 'C: y'])
})

test('appends, unsets, filters and maps', () => {
  const list = listOf('A: 1', 'B: 2', 'a: 3').append('A', '4').unset('B')
  assert.deepEqual(linesOf(list), ['A: 1', 'a: 3', 'A: 4'])
  assert.deepEqual(linesOf(list.filter((name, value) => name === 'a' && value !== '3')), ['A: 1', 'A: 4'])
  assert.deepEqual(linesOf(list.map((name, value) => name + value)), ['A: a1', 'A: a4'])
})

test('does not touch the list it was made from', () => {
  const raw = ['A', '1']
  HeaderList.from(raw).set('A', '2').append('B', '3')
  assert.deepEqual(raw, ['A', '1'])
})

test('reads fields named like methods of objects', () => {
  const req = requestOf(['__proto__: a', 'constructor: b', 'toString: c'])
  assert.equal(headerValue(req, '__proto__'), 'a')
  assert.deepEqual(headerLines(req, 'Constructor'), ['b'])
  assert.equal(headerValue(req, 'hasOwnProperty'), '')
  assert.deepEqual(linesOf(removeHopByHop(HeaderList.from(req.rawHeaders))), [
    '__proto__: a',
    'constructor: b',
    'toString: c',
  ])
})

test('splits lists over lines, and leaves empty members out', () => {
  assert.deepEqual(listMembers(['a, b', '', ' ,c\t,,']), ['a', 'b', 'c'])
})

const HOP = [
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive',
  'Proxy-Authenticate: Basic',
  'TE: trailers',
  'Trailer: X',
  'Transfer-Encoding: chunked',
  'Upgrade: websocket',
  'HTTP2-Settings: AAMAAABk',
]

test('takes the hop-by-hop fields out, whatever Connection says of them', () => {
  assert.deepEqual(linesOf(removeHopByHop(listOf('X-A: 1', ...HOP, 'X-B: 2'))), ['X-A: 1', 'X-B: 2'])
})

test('takes out what Connection names, over several lines and in any case', () => {
  const list = listOf('Connection: close, X-Secret', 'X-SECRET: s', 'X-A: 1', 'connection: x-a,, x-missing', 'X-B: 2')
  assert.deepEqual(linesOf(removeHopByHop(list)), ['X-B: 2'])
})

const PROTECTED = [
  'Host',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-Forwarded-Proto',
  'Forwarded',
  'Via',
  'Authorization',
  'Cookie',
  'Origin',
  'Sec-WebSocket-Key',
  'Sec-WebSocket-Protocol',
  'Content-Length',
  'Content-Type',
]

test('lets nobody name away a field that the backend decides by', () => {
  for (const name of PROTECTED) {
    const list = removeHopByHop(listOf(`Connection: Upgrade, ${name.toUpperCase()}, X-A`, `${name}: v`, 'X-A: 1'))
    assert.deepEqual(linesOf(list), [`${name}: v`])
  }
})

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
    'Host first, the fields of the client as they came, ours last',
    ['X-B: 2', 'Host: front.example', 'x-a: 1', 'X-B: 3'],
    {},
    ['Host: backend:9000', 'X-B: 2', 'x-a: 1', 'X-B: 3', ...OURS],
  ],
  ['preserveHost', ['Host: front.example'], { preserveHost: true }, ['Host: front.example', ...OURS]],
  ['Expect is ours to answer', ['Expect: 100-continue'], {}, ['Host: backend:9000', ...OURS]],
  [
    'the pseudo-fields of HTTP/2 are none of HTTP/1.1',
    [':method: GET', ':authority: front.example', 'a: 1'],
    { addHeaders: false },
    ['Host: backend:9000', 'a: 1'],
  ],
  ['https', [], { encrypted: true }, ['Host: backend:9000', ...OURS.slice(0, 3), 'X-Forwarded-Proto: https']],
  [
    'a peer that is not trusted cannot say where it comes from',
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
    'nor with an underscore twin',
    ['X_Forwarded_For: 9.9.9.9', 'x-forwarded_host: evil', 'X_Other: kept'],
    {},
    ['Host: backend:9000', 'X_Other: kept', ...OURS],
  ],
  [
    'nor where we add none',
    ['X-Forwarded-For: 9.9.9.9', 'Forwarded: for=9.9.9.9'],
    { addHeaders: false },
    ['Host: backend:9000'],
  ],
  [
    'a trusted peer is appended to, and its protocol stands',
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
    'appending to what anybody sent adds no protocol',
    ['X-Forwarded-For: 9.9.9.9'],
    { trusted: true, appends: true },
    ['Host: backend:9000', 'X-Forwarded-For: 9.9.9.9, 192.0.2.7', ...OURS.slice(1, 3)],
  ],
  [
    'appending leaves the protocol that somebody sent',
    ['X-Forwarded-Proto: https'],
    { trusted: true, appends: true },
    ['Host: backend:9000', 'X-Forwarded-Proto: https', ...OURS.slice(0, 3)],
  ],
  [
    'several lines of a trusted peer become one',
    ['X-Forwarded-For: 1.1.1.1', 'A: 1', 'X-Forwarded-For: 2.2.2.2'],
    { trusted: true },
    ['Host: backend:9000', 'X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7', 'A: 1', ...OURS.slice(1)],
  ],
  [
    'a twin of a field we append to is dropped even from a trusted peer',
    ['X_Forwarded_For: 9.9.9.9'],
    { trusted: true },
    ['Host: backend:9000', ...OURS],
  ],
  [
    'a trusted peer may not nominate what we add',
    ['Connection: X-Forwarded-For', 'X-Forwarded-For: 9.9.9.9'],
    { trusted: true },
    ['Host: backend:9000', 'X-Forwarded-For: 9.9.9.9, 192.0.2.7', ...OURS.slice(1)],
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

test('adds Via to an answer as to a request', () => {
  const via = (how: Forwarding['via'], ...lines: string[]): string[] =>
    linesOf(addVia(listOf(...lines), { via: how, httpVersion: '1.0', serverName: 'gateway' }))
  assert.deepEqual(via('on', 'A: 1'), ['A: 1', 'Via: 1.0 gateway'])
  assert.deepEqual(via('on', 'Via: 1.1 b', 'A: 1', 'Via: 1.1 c'), ['Via: 1.1 b, 1.1 c, 1.0 gateway', 'A: 1'])
  assert.deepEqual(via('off', 'Via: 1.1 b'), ['Via: 1.1 b'])
  assert.deepEqual(via('block', 'Via: 1.1 b'), [])
})

test('edits by unset, set and append, in that order, or by a function', () => {
  const edit = (editing: HeaderEditing | undefined): string[] =>
    linesOf(editHeaders(listOf('A: 1', 'B: 2', 'a: 3'), editing, requestOf(['Host: h'])))
  assert.deepEqual(edit(undefined), ['A: 1', 'B: 2', 'a: 3'])
  assert.deepEqual(edit({ set: { A: 'x' } }), ['A: x', 'B: 2'])
  assert.deepEqual(edit({ append: { a: 'x', C: 'y' } }), ['A: 1', 'B: 2', 'a: 3', 'a: x', 'C: y'])
  assert.deepEqual(edit({ unset: ['a', 'missing'] }), ['B: 2'])
  assert.deepEqual(edit({ append: { A: 'z' }, set: { a: 'y', b: 'w' }, unset: ['A'] }), ['b: w', 'a: y', 'A: z'])
  assert.deepEqual(
    edit((headers, req) => void headers.set('Host-Was', req.headers.host ?? '')),
    ['A: 1', 'B: 2', 'a: 3', 'Host-Was: h'],
  )
})

test('500s what an editing function throws', () => {
  const boom = new Error('boom')
  const editing: HeaderEditing = () => {
    throw boom
  }
  assert.throws(() => editHeaders(listOf(), editing, requestOf([])), { code: 'WST_ERR_CALLBACK', cause: boom })
})

interface Vector {
  id: string
  conf: string
  request: string[]
  status: string
  backendSaw: string[]
}

/** What httpd's configuration of a vector is in our words. */
const SAID: Record<string, Partial<Forwarding>> = {
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
  h13: { why: 'there is no ProxyMaxForwards' },
  h19: { why: 'there is no HTTP/1.0 to the backend' },
}

const { headers: vectors } = JSON.parse(
  readFileSync(new URL('../../httpd/vectors/headers-reverse.json', import.meta.url), 'utf8'),
) as { headers: Vector[] }

test('sends the backend what a real httpd sent it', () => {
  for (const { id, request, backendSaw } of vectors) {
    const said = SAID[id]
    const different = DIFFERENT[id]
    assert.ok(said !== undefined || different !== undefined, `${id} is neither said nor listed as different`)
    if (said === undefined) continue
    const host = (request[0] as string).slice('Host: '.length)
    const forwarding = {
      ...FORWARDING,
      clientAddress: '127.0.0.1',
      host,
      serverName: `${id}.test`,
      targetHost: '127.0.0.1:21060',
      // httpd appends to X-Forwarded-* whoever sends them.
      trusted: true,
      ...said,
    }
    const ours = linesOf(requestHeaders(requestOf(request), forwarding)).filter(
      line => !/^X-Forwarded-Proto/.test(line),
    )
    const [httpd = '', mine = ''] = different?.replace ?? []
    const theirs = backendSaw.slice(1).filter(line => !/^Connection:/.test(line))
    const fields = (lines: string[]): string[] => lines.map(line => line.replace(httpd, mine)).toSorted()
    assert.deepEqual(ours.toSorted(), fields(theirs), `${id}: ${different?.why ?? ''}`)
    assert.equal(ours[0], theirs[0], 'Host comes first')
  }
})
