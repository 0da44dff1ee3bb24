import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonText } from '../../../packages/core/src/backend/json-text.ts'

const written = (body: string, length: number | undefined = Buffer.byteLength(body)): string | undefined =>
  jsonText(JSON.parse(body), length)

const SAME: string[] = [
  '{"a":1,"b":[true,null,"x"]}',
  '{ "a": 1 }',
  '{"a": 1, "b": [1, 2, 3], "c": {"d": "caf\\u00e9"}}\n',
  JSON.stringify({ ids: Array.from({ length: 50 }, (_, i) => i), name: 'é' }, null, 2),
  JSON.stringify({ ids: Array.from({ length: 50 }, (_, i) => i) }, null, 4),
  JSON.stringify({ ids: Array.from({ length: 50 }, (_, i) => i) }, null, '\t'),
  '{"lat":52.520006599999996,"lon":13.404953999999975}',
  '{"a":1.50}',
  '{"a":1.5e-310}',
  '{"a":1e3}',
  '{"a":9007199254740991}',
  '{"__proto__":{"x":"y"}}',
  '"text"',
  '12',
  '[]',
]

for (const body of SAME)
  test(`writes ${JSON.stringify(body.slice(0, 40))} again`, () => {
    const text = written(body)
    assert.ok(text !== undefined)
    assert.deepEqual(JSON.parse(text), JSON.parse(body))
  })

test('writes JSON without numbers again, whatever length it had', () => {
  for (const length of [undefined, 1_000])
    assert.equal(jsonText({ a: ['x', null, true] }, length), '{"a":["x",null,true]}')
})

const LOSSY: string[] = [
  '{"id":12345678901234567890}',
  '{"id":-12345678901234567890}',
  '{"id":9007199254740993}',
  '{"a":1e400}',
  '{"a":-1e400}',
  '{"a":3.1415926535897932384626}',
  '{"a":1.00000000000000000001}',
  '{"a":0.10000000000000000000000}',
  '{"a":9007199254740990.6}',
  '{"name":1e-400,"b":"x"}',
  '{"a":-0}',
  '{"a":"\ufffd"}',
]

for (const body of LOSSY)
  test(`refuses ${body}, which may lose something`, () => assert.equal(written(body), undefined))

test('refuses numbers if nothing is known about the length of the body', () => {
  assert.equal(jsonText({ a: 1 }, undefined), undefined)
})

test('refuses a number that is too much shorter than its body to be told from a rounded one', () => {
  assert.equal(jsonText({ a: 1 }, 7 + 40), undefined)
})

test('refuses values that no JSON text has', () => {
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  for (const value of [undefined, () => 1, { a: undefined }, { a: new Date(0) }, { a: 1n }, new Map(), circle])
    assert.equal(jsonText(value, 10), undefined)
})
