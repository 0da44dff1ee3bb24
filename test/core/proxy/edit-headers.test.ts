import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import type { HeaderContext, HeaderEditing } from '../../../packages/core/src/options/route-options.ts'
import { editHeaders } from '../../../packages/core/src/proxy/edit-headers.ts'
import { requestOf } from '../../support/request.ts'

const contextOf = (...lines: string[]): HeaderContext => ({ req: requestOf(lines), choice: undefined })
const listOf = (...lines: string[]): HeaderList => HeaderList.from(requestOf(lines).rawHeaders)
const linesOf = (list: HeaderList): string[] => Array.from(list, ([name, value]) => `${name}: ${value}`)

test('edits by unset, set and append, in that order, or by a function', () => {
  const edit = (editing: HeaderEditing | undefined): string[] =>
    linesOf(editHeaders(listOf('A: 1', 'B: 2', 'a: 3'), editing, contextOf('Host: h')))
  assert.deepEqual(edit(undefined), ['A: 1', 'B: 2', 'a: 3'])
  assert.deepEqual(edit({ set: { A: 'x' } }), ['A: x', 'B: 2'])
  assert.deepEqual(edit({ append: { a: 'x', C: 'y' } }), ['A: 1', 'B: 2', 'a: 3', 'a: x', 'C: y'])
  assert.deepEqual(edit({ unset: ['a', 'missing'] }), ['B: 2'])
  assert.deepEqual(edit({ append: { A: 'z' }, set: { a: 'y', b: 'w' }, unset: ['A'] }), ['b: w', 'a: y', 'A: z'])
  assert.deepEqual(
    edit((headers, { req }) => void headers.set('Host-Was', req.headers.host ?? '')),
    ['A: 1', 'B: 2', 'a: 3', 'Host-Was: h'],
  )
})

test('fails with 500 if an editing function throws', () => {
  const boom = new Error('boom')
  const editing: HeaderEditing = () => {
    throw boom
  }
  assert.throws(() => editHeaders(listOf(), editing, contextOf()), { code: 'WST_ERR_CALLBACK', cause: boom })
})

const UNSENDABLE: [name: string, value: string][] = [
  ['X Y', 'a'],
  ['', 'a'],
  ['X', 'a\r\nY: b'],
  ['X', 'a\0'],
]

test('fails with 500 if an editing function leaves a field that Node refuses to send', () => {
  for (const [name, value] of UNSENDABLE) {
    const editing: HeaderEditing = headers => void headers.append(name, value)
    const edit = (): HeaderList => editHeaders(listOf(), editing, contextOf())
    assert.throws(edit, { code: 'WST_ERR_CALLBACK', statusCode: 500 }, JSON.stringify([name, value]))
  }
})
