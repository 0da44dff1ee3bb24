import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formText } from '../../../packages/core/src/backend/form-text.ts'

const pairs = (text: string | undefined): string[][] => Array.from(new URLSearchParams(text), pair => [...pair])

/** A body, and what a parser of forms makes of it. */
const SAME: [body: string, form: object][] = [
  ['a=1&b=2', { a: '1', b: '2' }],
  ['a=1&a=2', { a: ['1', '2'] }],
  ['ids[]=7', { ids: ['7'] }],
  ['ids%5B%5D=7&ids%5B%5D=8', { ids: ['7', '8'] }],
  ['user[name]=x&user[age]=7', { user: { name: 'x', age: '7' } }],
  ['user%5Btags%5D%5B%5D=x&user%5Btags%5D%5B%5D=y', { user: { tags: ['x', 'y'] } }],
  ['a=1&a=2&ids[]=7', { a: ['1', '2'], ids: ['7'] }],
  ['a[b]=1', { 'a[b]': '1' }],
  ['q=caf%C3%A9+au+lait&mail=a%40b.example', { q: 'café au lait', mail: 'a@b.example' }],
  ['q=a%20b&mail=a@b.example', { q: 'a b', mail: 'a@b.example' }],
  ['q=%26%25%2B%3D', { q: '&%+=' }],
  ['a=', { a: '' }],
]

for (const [body, form] of SAME)
  test(`writes ${body} again`, () => {
    const text = formText(form, body.length)
    assert.ok(text !== undefined)
    assert.deepEqual(pairs(text), pairs(body))
  })

const LOST: [body: string, form: object][] = [
  ['rows[0][id]=1&rows[0][n]=x&rows[1][id]=2', { rows: [{ id: '1', n: 'x' }, { id: '2' }] }],
  ['ids[0]=7', { ids: ['7'] }],
  ['ids[5]=7&ids[6]=8', { ids: ['7', '8'] }],
  ['ids[]=x+y', { ids: ['x y'] }],
  ['a=1&__proto__=2', { a: '1' }],
  ['a=1&&b=2', { a: '1', b: '2' }],
  ['[a]=1', { a: '1' }],
  ['a&b=1', { a: '', b: '1' }],
  ['a=%ff', { a: '%ff' }],
  ['a=1', {}],
  ['a=1', { a: 1 }],
  ['a=1', ['1']],
  ['a=%EF%BF%BD', { a: '\ufffd' }],
]

for (const [body, form] of LOST)
  test(`refuses ${body}, which ${JSON.stringify(form)} may not mean`, () =>
    assert.equal(formText(form, body.length), undefined))

test('refuses a form if nothing is known about the length of the body', () => {
  assert.equal(formText({ a: '1' }, undefined), undefined)
})
