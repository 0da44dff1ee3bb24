import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  HeaderList,
  headerLines,
  headerValue,
  listMembers,
  removeHopByHop,
} from '../../../packages/core/src/http/header-list.ts'
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

test('replaces the first line of a field, or appends the field', () => {
  const list = listOf('A: 1', 'B: 2', 'a: 3').set('a', 'x').set('C', 'y')
  assert.deepEqual(linesOf(list), ['a: x', 'B: 2', 'C: y'])
})

test('appends, unsets, filters and maps', () => {
  const list = listOf('A: 1', 'B: 2', 'a: 3').append('A', '4').unset('B')
  assert.deepEqual(linesOf(list), ['A: 1', 'a: 3', 'A: 4'])
  assert.deepEqual(linesOf(list.filter((name, value) => name === 'a' && value !== '3')), ['A: 1', 'A: 4'])
  assert.deepEqual(linesOf(list.map((name, value) => name + value)), ['A: a1', 'A: a4'])
})

test('does not change the list that it was created from', () => {
  const raw = ['A', '1']
  HeaderList.from(raw).set('A', '2').append('B', '3')
  assert.deepEqual(raw, ['A', '1'])
})

test('reads fields that are named like methods of objects', () => {
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

test('splits lists over several lines, and omits empty members', () => {
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

test('removes the hop-by-hop fields whether Connection names them or not', () => {
  assert.deepEqual(linesOf(removeHopByHop(listOf('X-A: 1', ...HOP, 'X-B: 2'))), ['X-A: 1', 'X-B: 2'])
})

test('removes the fields that Connection names, over several lines and in any case', () => {
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

test('keeps a field on which the backend bases decisions, even if Connection names it', () => {
  for (const name of PROTECTED) {
    const list = removeHopByHop(listOf(`Connection: Upgrade, ${name.toUpperCase()}, X-A`, `${name}: v`, 'X-A: 1'))
    assert.deepEqual(linesOf(list), [`${name}: v`])
  }
})
