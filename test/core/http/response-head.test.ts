import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  maybeInterim,
  maySwitch,
  readInterim,
  readStatusLine,
  readSwitch,
} from '../../../packages/core/src/http/response-head.ts'

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\n'

test('reads the head of a 101 and where it ends', () => {
  const head = `HTTP/1.1 101 Switching Protocols\r\n${UPGRADE}X: \t a\xe9\xa0 \t\r\nX:b\r\nEmpty:\r\n\r\n`
  assert.deepEqual(readSwitch(`${head}\x81\x05hello`), {
    head: {
      httpVersion: '1.1',
      statusMessage: 'Switching Protocols',
      rawHeaders: ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'X', 'a\xe9\xa0', 'X', 'b', 'Empty', ''],
    },
    size: head.length,
  })
  assert.deepEqual(readSwitch('HTTP/1.1 101\r\n\r\n'), {
    head: { httpVersion: '1.1', statusMessage: '', rawHeaders: [] },
    size: 16,
  })
})

const ODD: Record<string, string> = {
  nothing: '',
  'an incomplete head': `HTTP/1.1 101 S\r\n${UPGRADE}`,
  'a head that lacks a byte': `HTTP/1.1 101 S\r\n${UPGRADE}\r`,
  'another status': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'an interim response': `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 S\r\n${UPGRADE}\r\n`,
  'four digits': `HTTP/1.1 1010 S\r\n${UPGRADE}\r\n`,
  'HTTP/1.0': `HTTP/1.0 101 S\r\n${UPGRADE}\r\n`,
  'lower case': `http/1.1 101 S\r\n${UPGRADE}\r\n`,
  'a line before': `\r\nHTTP/1.1 101 S\r\n${UPGRADE}\r\n`,
  'bare LF': `HTTP/1.1 101 S\n${UPGRADE}\r\n\r\n`,
  'a bare LF between fields': `HTTP/1.1 101 S\r\nA: b\n${UPGRADE}\r\n`,
  'a bare CR': `HTTP/1.1 101 S\r\nA: b\rC: d\r\n${UPGRADE}\r\n`,
  'a bare CR in the reason': `HTTP/1.1 101 S\rT\r\n${UPGRADE}\r\n`,
  NUL: `HTTP/1.1 101 S\r\nA: b\0\r\n${UPGRADE}\r\n`,
  'obs-fold': `HTTP/1.1 101 S\r\nA: b\r\n c\r\n${UPGRADE}\r\n`,
  'a fold at the start': `HTTP/1.1 101 S\r\n A: b\r\n${UPGRADE}\r\n`,
  'a line without colon': `HTTP/1.1 101 S\r\nnonsense\r\n${UPGRADE}\r\n`,
  'a field without name': `HTTP/1.1 101 S\r\n: b\r\n${UPGRADE}\r\n`,
  'a space before the colon': `HTTP/1.1 101 S\r\nA : b\r\n${UPGRADE}\r\n`,
  'a length': `HTTP/1.1 101 S\r\nContent-Length: 0\r\n${UPGRADE}\r\n`,
  chunks: `HTTP/1.1 101 S\r\ntransfer-encoding: chunked\r\n${UPGRADE}\r\n`,
  'more fields than a switch has': `HTTP/1.1 101 S\r\n${'A: b\r\n'.repeat(101)}\r\n`,
  'a head as long as Node allows': `HTTP/1.1 101 S\r\nA: ${'b'.repeat(17_000)}\r\n\r\n`,
  'obs-text in the reason': 'HTTP/1.1 101 \xe9\r\n\r\n',
}

for (const [what, text] of Object.entries(ODD)) {
  test(`does not read, and leaves to Node's parser, ${what}`, () => assert.equal(readSwitch(text), undefined))
}

test('reads a long head in linear time', () => {
  for (const text of [
    `HTTP/1.1 101 S\r\nA:${' '.repeat(15_000)}\x01\r\n\r\n`,
    `HTTP/1.1 101 S\r\n${'A:'.repeat(7_000)}\x01\r\n\r\n`,
  ])
    assert.equal(readSwitch(text), undefined)
})

/** The response to an upgrade as Node's parser reads it. */
async function readByNode(text: string): Promise<{ message: IncomingMessage; rest: string } | undefined> {
  const wire = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
  const sent = request({
    headers: ['Connection', 'Upgrade', 'Upgrade', 'websocket'],
    setHost: false,
    createConnection: () => wire,
  } as never)
  const outcome = Promise.race([
    once(sent, 'upgrade').then(([message, , head]) => ({ message, rest: String(head.latin1Slice()) })),
    once(sent, 'response').then(() => undefined),
  ]).catch(() => undefined)
  sent.end()
  wire.push(Buffer.from(text, 'latin1'))
  wire.push(null)
  return outcome
}

const latin1 = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)),
  maxLength: 8,
})
const mostly = (usual: RegExp): fc.Arbitrary<string> =>
  fc.oneof({ weight: 12, arbitrary: fc.stringMatching(usual) }, { weight: 1, arbitrary: latin1 })

test("reads every head as Node's parser does", async () => {
  let read = 0
  await fc.assert(
    fc.asyncProperty(
      mostly(/^HTTP\/1\.1 101 [\x20-\x7e]{0,8}$/),
      fc.array(fc.tuple(mostly(/^[!#$%&'*+.^_`|~\w-]{1,8}$/), mostly(/^:[\t ]{0,3}[\x20-\x7e]{0,8}[\t ]{0,3}$/)), {
        maxLength: 5,
      }),
      fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n '),
      latin1,
      async (status, fields, end, rest) => {
        const text = `${status}\r\n${UPGRADE}${fields.map(([name, value]) => `${name}${value}\r\n`).join('')}X: y${end}\r\n${rest}`
        const ours = readSwitch(text)
        if (ours === undefined) return
        read++
        const theirs = await readByNode(text)
        assert.deepEqual(
          [ours.head, text.slice(ours.size)],
          [
            {
              httpVersion: theirs?.message.httpVersion,
              statusMessage: theirs?.message.statusMessage,
              rawHeaders: theirs?.message.rawHeaders,
            },
            theirs?.rest,
          ],
        )
      },
    ),
    { numRuns: 500 },
  )
  assert.ok(read > 50, `${read} were read`)
})

test('waits for the rest of a head only as long as it may become a 101', () => {
  const head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX: a:b\xe9\r\nEmpty:\r\n\r\n'
  for (let length = 0; length < head.length; length++)
    assert.ok(maySwitch(head.slice(0, length)), JSON.stringify(head.slice(0, length)))
  for (const text of [
    head,
    'HTTP/1.1 101 X\n',
    'HTTP/1.1 101 X\nUpgrade: websocket\n\n',
    'HTTP/1.1 101X',
    'HTTP/1.1 1010',
    'HTTP/1.1 101 X\r\nnonsense\r\n',
    'HTTP/1.1 101 X\r\nA: b\r\n c: d\r\n',
    'HTTP/1.1 101 X\r\nA: \0\r\n',
    'HTTP/1.1 101 X\r\n\n',
    'HTTP/1.1 101 X\r\rA',
    'HTTP/1.1 200',
    'HTTP/1.0',
    'SSH',
  ])
    assert.ok(!maySwitch(text), JSON.stringify(text))
  const long = `HTTP/1.1 101 X\r\n${'a: b\r\n'.repeat(2_500)}`
  assert.ok(maySwitch(long))
  assert.ok(!maySwitch(`${long}\0\r\n`))
})

test('reads an interim response and where it ends, and nothing that Node would read in another way', () => {
  const head = 'HTTP/1.1 103 Early \xc3\xa9\r\nLink: </a>\r\nX:\r\n\r\n'
  assert.deepEqual(readInterim(`${head}HTTP/1.1 200 OK`), {
    head: { statusCode: 103, statusMessage: 'Early \xc3\xa9', rawHeaders: ['Link', '</a>', 'X', ''] },
    size: head.length,
  })
  assert.deepEqual(readInterim('HTTP/1.0 100\r\n\r\n'), {
    head: { statusCode: 100, statusMessage: '', rawHeaders: [] },
    size: 16,
  })
  for (const odd of [
    head.slice(0, -1),
    'HTTP/1.1 103 a\0b\r\n\r\n',
    'HTTP/1.1 103 a\r\nX : y\r\n\r\n',
    'HTTP/1.1 103 a\r\nX: y\r\n z\r\n\r\n',
    'HTTP/1.1 103 a\nX: y\r\n\r\n',
    'HTTP/1.1 200 a\r\n\r\n',
    'HTTP/1.1 1030 a\r\n\r\n',
  ])
    assert.equal(readInterim(odd), undefined, JSON.stringify(odd))
})

test('holds back bytes that may begin an interim response, and no others', () => {
  for (const text of ['', 'H', 'HTTP/1.1 ', 'HTTP/1.1 1', 'HTTP/1.0 10', 'HTTP/1.1 103', 'HTTP/1.1 103 Early'])
    assert.ok(maybeInterim(text), text)
  for (const text of [
    'h',
    'HTTP/2',
    'HTTP/1.1 2',
    'HTTP/1.1 101',
    'HTTP/1.1 101 S',
    'HTTP/1.1 1030',
    'SSH-2.0-OpenSSH',
  ])
    assert.ok(!maybeInterim(text), text)
})

test('reads version and reason of a status line', () => {
  assert.deepEqual(readStatusLine('HTTP/1.0 200 \xc3\xa9 \t!'), { httpVersion: '1.0', statusMessage: '\xc3\xa9 \t!' })
  for (const line of ['HTTP/1.1 200', 'HTTP/1.1 200 '])
    assert.deepEqual(readStatusLine(line), { httpVersion: '1.1', statusMessage: '' })
  for (const line of ['', 'HTTP/1.1 20', 'HTTP/1.1 2000', 'HTTP/1.1 200 a\0b', 'x HTTP/1.1 200 a'])
    assert.equal(readStatusLine(line), undefined, line)
})
