import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { type ParsedBody, parsedBody } from '../../../packages/core/src/backend/parsed-body.ts'

interface Case {
  readonly type?: string
  readonly length?: number
  readonly coding?: string
  readonly rawBody?: unknown
}

/** A request whose body was read. */
function parsed(body: unknown, { type, length, coding, rawBody }: Case): ParsedBody | undefined {
  const lines: [string, string | undefined][] = [
    ['Content-Type', type],
    ['Content-Length', length === undefined ? undefined : String(length)],
    ['Transfer-Encoding', length === undefined ? 'chunked' : undefined],
    ['Content-Encoding', coding],
  ]
  const given = lines.filter((line): line is [string, string] => line[1] !== undefined)
  const headers = Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]))
  const req = { rawHeaders: given.flat(), headers, httpVersion: '1.1', readableDidRead: true, readableEnded: true }
  return parsedBody(Object.assign(req, rawBody === undefined ? {} : { rawBody }) as unknown as IncomingMessage, body)
}

const refused = { code: 'WST_ERR_BODY_CONSUMED' }
const shown = (body: ParsedBody | undefined): unknown[] => [body?.bytes.toString('latin1'), body?.rewritten]

test('sends the bytes that the parser has kept, whatever it made of them', () => {
  const rawBody = Buffer.from('{"a":1e400}')
  assert.deepEqual(shown(parsed({ a: 1 }, { type: 'application/json', length: 11, rawBody })), ['{"a":1e400}', false])
  const view = new Uint8Array([0, 1, 2]).subarray(1)
  assert.deepEqual(shown(parsed({}, { type: 'x/y', length: 2, rawBody: view })), ['\x01\x02', false])
})

test('keeps the Content-Encoding of bytes that were not decompressed, and no other', () => {
  const rawBody = Buffer.from('bytes')
  assert.deepEqual(shown(parsed({}, { length: 5, coding: 'gzip', rawBody })), ['bytes', false])
  assert.deepEqual(shown(parsed({}, { length: 4, coding: 'gzip', rawBody })), ['bytes', true])
  assert.deepEqual(shown(parsed({}, { coding: 'identity', rawBody })), ['bytes', false])
  assert.throws(() => parsed({}, { coding: 'gzip', rawBody }), { ...refused, message: /it may be compressed or not/ })
})

test('takes a raw body that was kept as text only if it has the length of the body', () => {
  assert.deepEqual(shown(parsed({}, { type: 'x/y', length: 5, rawBody: 'caf\u00e9' })), ['caf\xc3\xa9', true])
  assert.throws(() => parsed({}, { type: 'x/y', length: 4, rawBody: 'caf\ufffd' }), refused)
  assert.throws(() => parsed({}, { type: 'x/y', length: 8, rawBody: 'text' }), refused)
})

const TEXTS: [type: string, text: string, length: number | undefined, bytes: string | undefined][] = [
  ['text/plain', 'text', 4, 'text'],
  ['text/plain', 'text', undefined, 'text'],
  ['text/plain', 'caf\u00e9', 5, 'caf\xc3\xa9'],
  ['text/plain', 'caf\u00e9', 4, undefined],
  ['text/plain', 'caf\u00e9', undefined, undefined],
  ['text/plain; charset=UTF-8', 'caf\u00e9', undefined, 'caf\xc3\xa9'],
  ['text/plain; charset="utf8"', 'caf\u00e9', undefined, 'caf\xc3\xa9'],
  ['text/plain; charset=iso-8859-1', 'caf\u00e9', 4, 'caf\xe9'],
  ['text/plain; charset=iso-8859-1', 'caf\u00e9', 5, undefined],
  ['text/plain; charset=iso-8859-1', '\u20ac', 1, undefined],
  ['text/plain; charset=us-ascii', 'text', 4, 'text'],
  ['text/plain; charset=us-ascii', 'caf\u00e9', 5, undefined],
  ['text/plain; charset=shift_jis', 'text', 4, undefined],
  ['text/plain; charset=utf-16', 'text', 8, undefined],
  ['text/plain; charset=utf-8; charset=iso-8859-1', 'text', 4, undefined],
  ['text/plain', 'a\ufffd', 4, undefined],
  ['application/json', '{"a":1e400}', 11, '{"a":1e400}'],
  ['application/json', 'text', 6, '"text"'],
  ['application/json; charset=utf-16', 'text', 6, undefined],
  ['application/x-www-form-urlencoded', 'a=1', 3, 'a=1'],
]

for (const [type, text, length, bytes] of TEXTS)
  test(`${bytes === undefined ? 'refuses' : 'sends'} the text ${text} of the type ${type} and the length ${length}`, () => {
    if (bytes === undefined)
      assert.throws(() => parsed(text, { type, ...(length !== undefined && { length }) }), refused)
    else assert.equal(shown(parsed(text, { type, ...(length !== undefined && { length }) }))[0], bytes)
  })

test('refuses a parsed body of a charset that JSON and forms do not have', () => {
  for (const type of ['application/json', 'application/x-www-form-urlencoded'])
    assert.throws(() => parsed({ a: 'x' }, { type: `${type}; charset=iso-8859-1`, length: 3 }), refused)
})

test('writes text that was decompressed, without comparing its length', () => {
  assert.deepEqual(shown(parsed('text', { type: 'text/plain', length: 24, coding: 'gzip' })), ['text', true])
})

test('has no body where none was sent', () => {
  assert.equal(parsed({}, { type: 'application/json', length: 0 }), undefined)
})
