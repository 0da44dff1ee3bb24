import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, createServer, type OutgoingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { appFields, appLines, fieldValue, requestField } from '../../../packages/core/src/http/app-fields.ts'
import { sendRequest } from '../../support/harness.ts'
import { requestOf } from '../../support/request.ts'
import { startServer } from '../../support/server.ts'

/** `headers` is what the app finds, as far as its types allow. */
type Change = (headers: Record<string, unknown>) => void

/** The changed fields, each with its lines. */
const changedIn = (req: IncomingMessage): Record<string, readonly string[]> =>
  Object.fromEntries(Array.from(appFields(req) ?? [], ([lower, { lines }]) => [lower, lines]))

/** Every rule that Node has for repeated fields. */
const REPEATED = [
  'Host: one',
  'X-A: 1',
  'x-a: 2',
  'Cookie: a=1',
  'cookie: b=2',
  'Set-Cookie: c=3',
  'Set-Cookie: d=4',
  'User-Agent: first',
  'user-agent: second',
  'Authorization: Basic a',
  'Authorization: Basic b',
  'Content-Type: a/b',
  'Content-Type: c/d',
  'Accept:',
  'Accept: */*',
  '7: seven',
  '__proto__: a',
  '__proto__: b',
  'constructor: c',
  'toString: d',
  'toString: e',
]

const CHANGES: [what: string, lines: string[], change: Change, changed: Record<string, string[]>][] = [
  ['nothing', ['A: 1', 'B: 2'], () => {}, {}],
  ['nothing of repeated fields', REPEATED, () => {}, {}],
  ['nothing: the same value again', ['A: 1', ...REPEATED], h => Object.assign(h, { ...h }), {}],
  ['nothing: deleted and added again', ['A: 1', 'B: 2'], h => delete h['a'] && Object.assign(h, { a: '1' }), {}],
  ['a changed field', ['A: 1', 'B: 2'], h => Object.assign(h, { a: '3' }), { a: ['3'] }],
  ['an added field', ['A: 1'], h => Object.assign(h, { b: '2' }), { b: ['2'] }],
  ['a deleted field', ['A: 1', 'B: 2'], h => delete h['b'], { b: [] }],
  ['the only field deleted', ['A: 1'], h => delete h['a'], { a: [] }],
  [
    'a field replaced by another with its value',
    ['A: 1', 'B: 2'],
    h => delete h['b'] && Object.assign(h, { c: '2' }),
    { b: [], c: ['2'] },
  ],
  ['a field set to undefined', ['A: 1'], h => Object.assign(h, { a: undefined }), { a: [] }],
  ['a field set to null', ['A: 1'], h => Object.assign(h, { a: null }), { a: [] }],
  ['an added field of undefined', ['A: 1'], h => Object.assign(h, { b: undefined }), { b: [] }],
  ['a number', ['A: 1'], h => Object.assign(h, { a: 2, b: 0 }), { a: ['2'], b: ['0'] }],
  ['a list', ['A: 1'], h => Object.assign(h, { a: ['2', undefined, 3] }), { a: ['2', '3'] }],
  ['an empty value', ['A: 1'], h => Object.assign(h, { a: '' }), { a: [''] }],
  [
    'another spelling, which wins',
    ['X-User: root'],
    h => Object.assign(h, { 'X-User': 'alice' }),
    { 'x-user': ['alice'] },
  ],
  ['another spelling that deletes', ['X-User: root'], h => Object.assign(h, { 'X-User': undefined }), { 'x-user': [] }],
  ['one of two equal lines', ['A: 1', 'A: 1'], h => Object.assign(h, { a: '1' }), { a: ['1'] }],
  ['the first of two lines', ['A: 1', 'A: 2'], h => Object.assign(h, { a: '1' }), { a: ['1'] }],
  [
    'a field whose later lines Node drops',
    REPEATED,
    h => Object.assign(h, { 'user-agent': 'second' }),
    { 'user-agent': ['second'] },
  ],
  ['a cookie more', REPEATED, h => Object.assign(h, { cookie: 'a=1; b=2; c=3' }), { cookie: ['a=1; b=2; c=3'] }],
  ['one of the Set-Cookie lines', REPEATED, h => (h['set-cookie'] as string[]).pop(), { 'set-cookie': ['c=3'] }],
  ['a repeated field deleted', REPEATED, h => delete h['x-a'], { 'x-a': [] }],
  [
    'names of object properties',
    ['A: 1'],
    h => Object.assign(h, { constructor: 'a', valueOf: 'b' }),
    { constructor: ['a'], valueof: ['b'] },
  ],
]

for (const [what, lines, change, changed] of CHANGES) {
  test(`finds ${what}`, () => {
    const req = requestOf(lines)
    change(req.headers)
    assert.deepEqual(changedIn(req), changed)
    assert.equal(appFields(req) === undefined, Object.keys(changed).length === 0)
    const names = new Set(['none', ...lines.map(line => line.split(':', 1)[0] as string), ...Object.keys(changed)])
    for (const name of names) {
      const own = Object.hasOwn(changed, name.toLowerCase()) ? changed[name.toLowerCase()] : undefined
      // A field that was absent before and is again has no lines either way.
      assert.deepEqual(appLines(req, name) ?? [], own ?? [], name)
      assert.equal(
        appLines(req, name) === undefined,
        own === undefined || (own.length === 0 && what.startsWith('an added')),
        name,
      )
    }
  })
}

test('finds the headers that the app has replaced as a whole', () => {
  const req = requestOf(['A: 1', 'B: 2'])
  req.headers = { b: '2', c: '3' }
  assert.deepEqual(changedIn(req), { a: [], c: ['3'] })
})

test('gives the value of a field as the app has left it', () => {
  const req = requestOf(['A: 1', 'A: 2', 'B: 3'])
  assert.equal(fieldValue(req, 'A'), '1, 2')
  req.headers['a'] = ['4', '5'] as never
  delete req.headers['b']
  assert.deepEqual([fieldValue(req, 'A'), fieldValue(req, 'b'), fieldValue(req, 'c')], ['4, 5', '', ''])
  assert.deepEqual([requestField(req, 'A'), requestField(req, 'b')], ['4, 5', undefined])
})

for (const [what, headers] of [
  ['a line break', { 'x-a': 'a\r\nX-B: b' }],
  ['a character above U+00FF', { 'x-a': '太郎' }],
  ['NUL in a list', { 'x-a': ['a', '\0'] }],
  ['a name that is no token', { 'x a': 'a' }],
  ['an empty name', { '': 'a' }],
] as [string, Record<string, string | string[]>][]) {
  test(`refuses ${what}`, () => {
    const req = requestOf(['A: 1'])
    Object.assign(req.headers, headers)
    assert.throws(() => appFields(req), { code: 'WST_ERR_APP_HEADERS', statusCode: 500 })
  })
}

test("finds nothing in a request of Node's parser that no app has touched", async t => {
  const { server, port } = await startServer(t, (_req, res) => res.end())
  const requested = once(server, 'request')
  await sendRequest(t, port, `GET / HTTP/1.1\r\n${REPEATED.join('\r\n')}\r\n\r\n`)
  const [req] = (await requested) as [IncomingMessage]
  assert.equal(appFields(req), undefined)
})

test('knows how joinDuplicateHeaders joins', () => {
  const req = requestOf(['User-Agent: first', 'User-Agent: second'])
  Object.assign(req, { joinDuplicateHeaders: true })
  req.headers['user-agent'] = 'first, second'
  assert.equal(appFields(req), undefined)
})

test('finds nothing in an untouched request over HTTP/2, and what the app changes', async t => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const requested = once(server, 'request')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => session.destroy())
  const headers: OutgoingHttpHeaders = {
    ':path': '/',
    'x-a': ['1', '2'],
    cookie: ['a=1', 'b=2'],
    'set-cookie': ['c=3', 'd=4'],
    accept: ['a/b', 'c/d'],
    'user-agent': 'one',
  }
  session.request(headers).resume()
  const [req, res] = await requested
  res.end()
  assert.equal(req.rawHeaders.filter((name: string) => name === 'cookie').length, 2)
  assert.equal(appFields(req), undefined)
  req.headers['x-a'] = '1'
  delete req.headers['user-agent']
  req.headers['x-user'] = 'alice'
  assert.deepEqual(changedIn(req), { 'x-a': ['1'], 'user-agent': [], 'x-user': ['alice'] })
})
