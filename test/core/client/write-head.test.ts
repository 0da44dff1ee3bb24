import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { writeHead } from '../../../packages/core/src/client/write-head.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { plainRequest } from '../../support/client.ts'
import { sendRequest } from '../../support/harness.ts'
import type { RawHeaders } from '../../support/reader.ts'
import { startServer } from '../../support/server.ts'

/** The head that a client reads, without the fields that Node adds. */
async function written(
  t: TestContext,
  write: (res: ServerResponse) => void,
): Promise<{ startLine: string; fields: RawHeaders }> {
  const { port } = await startServer(t, (_req, res) => {
    write(res)
    res.end()
  })
  const { startLine, rawHeaders } = await (await sendRequest(t, port, plainRequest('/'))).responseHead()
  const ofNode = ['Date', 'Connection', 'Keep-Alive', 'Transfer-Encoding', 'Content-Length']
  return { startLine, fields: rawHeaders.filter(([name]) => !ofNode.includes(name)) }
}

const HEAD = ['X-B', '1', 'sEt-CoOkIe', 'c=3', 'X-A', '2', 'X-B', '3']
const PAIRS = [
  ['X-B', '1'],
  ['sEt-CoOkIe', 'c=3'],
  ['X-A', '2'],
  ['X-B', '3'],
]

test('keeps the reason, and order, case and duplicates of the fields', async t => {
  const { startLine, fields } = await written(t, res => writeHead(res, 299, 'Fine', HeaderList.from(HEAD)))
  assert.equal(startLine, 'HTTP/1.1 299 Fine')
  assert.deepEqual(fields, PAIRS)
})

test('keeps the fields that middleware has set, except those that the head has too', async t => {
  const { fields } = await written(t, res => {
    res.setHeader('X-Own', 'own')
    res.setHeader('X-A', 'own')
    writeHead(res, 200, undefined, HeaderList.from(['X-A', '2']))
  })
  assert.deepEqual(fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`).toSorted(), [
    'x-a: 2',
    'x-own: own',
  ])
})

for (const [what, cookies] of [
  ['one cookie', 'a=1'],
  ['several cookies', ['a=1', 'b=2']],
] as const) {
  test(`sends ${what} of middleware before those of the head`, async t => {
    const { fields } = await written(t, res => {
      res.setHeader('Set-Cookie', cookies)
      writeHead(res, 200, undefined, HeaderList.from(HEAD))
    })
    const sent = fields.filter(([name]) => name.toLowerCase() === 'set-cookie').map(([, value]) => value)
    assert.deepEqual(sent, [cookies, 'c=3'].flat())
  })
}

for (const wrapped of [false, true]) {
  test(`sends shared fields of middleware before those of the head${wrapped ? ', if writeHead is wrapped' : ''}`, async t => {
    const shared = ['Vary', 'Link', 'Server-Timing', 'Content-Security-Policy']
    const { fields } = await written(t, res => {
      if (wrapped) res.writeHead = res.writeHead.bind(res)
      for (const name of shared) res.setHeader(name.toLowerCase(), name === 'Link' ? ['app', 'app 2'] : 'app')
      writeHead(res, 200, undefined, HeaderList.from(shared.flatMap(name => [name, 'back'])))
    })
    for (const name of shared) {
      const sent = fields.filter(field => field[0].toLowerCase() === name.toLowerCase()).map(([, value]) => value)
      assert.deepEqual(sent, name === 'Link' ? ['app', 'app 2', 'back'] : ['app', 'back'], name)
    }
  })
}

/** What a client reads of a response with this framing of middleware and of the head. */
const FRAMINGS: [own: RawHeaders, head: string[], method: string, version: string, sent: RegExp][] = [
  [
    [['Content-Length', '2']],
    [],
    'GET',
    '1.1',
    /^transfer-encoding: chunked\r\n(?:.*\r\n)*\r\n4\r\nbody\r\n0\r\n\r\n$/im,
  ],
  [[['Content-Length', '2']], ['Content-Length', '4'], 'GET', '1.1', /^content-length: 4\r\n(?:.*\r\n)*\r\nbody$/im],
  [
    [['Transfer-Encoding', 'chunked']],
    ['Content-Length', '4'],
    'GET',
    '1.1',
    /^content-length: 4\r\n(?:.*\r\n)*\r\nbody$/im,
  ],
  [
    [['Transfer-Encoding', 'gzip, chunked']],
    [],
    'GET',
    '1.1',
    /^transfer-encoding: chunked\r\n(?:.*\r\n)*\r\n4\r\nbody\r\n0\r\n\r\n$/im,
  ],
  [[['Transfer-Encoding', 'chunked']], [], 'GET', '1.0', /\r\n\r\nbody$/],
  [
    [
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '2'],
    ],
    ['Content-Length', '9'],
    'HEAD',
    '1.1',
    /^content-length: 9\r\n(?:.*\r\n)*\r\n$/im,
  ],
]

for (const [own, head, method, version, sent] of FRAMINGS) {
  test(`never takes framing from middleware: ${own.join(' and ')} beside ${head.join(' ') || 'none'}, ${method} ${version}`, async t => {
    const { port } = await startServer(t, (_req, res) => {
      for (const [name, value] of own) res.setHeader(name, value)
      writeHead(res, 200, undefined, HeaderList.from(head))
      res.end('body')
    })
    const request = plainRequest('/', { method, headers: ['Connection: close'] }).replace('HTTP/1.1', `HTTP/${version}`)
    const text = (await (await sendRequest(t, port, request)).readAll()).toString()
    assert.match(text, sent)
    assert.equal([...text.matchAll(/^(?:content-length|transfer-encoding):/gim)].length, version === '1.0' ? 0 : 1)
  })
}

test('sets the fields one by one where middleware wraps writeHead', async t => {
  let seen: unknown
  const { startLine, fields } = await written(t, res => {
    const original = res.writeHead
    res.writeHead = function (this: ServerResponse, ...args: unknown[]) {
      seen = this.getHeader('X-B')
      return original.apply(this, args as never)
    } as never
    writeHead(res, 200, 'Wrapped', HeaderList.from(HEAD))
  })
  assert.deepEqual(seen, ['1', '3'])
  assert.equal(startLine, 'HTTP/1.1 200 Wrapped')
  assert.deepEqual(
    fields.map(([name, value]) => `${name} ${value}`).toSorted(),
    PAIRS.map(pair => pair.join(' ')).toSorted(),
  )
})

for (const [statusCode, headers, dates] of [
  [200, [], 1],
  [200, ['Date', 'Thu, 01 Jan 1970 00:00:00 GMT'], 1],
  [101, ['Upgrade', 'foo'], 0],
] as const) {
  test(`sends ${dates} Date with ${statusCode} and ${headers[0] ?? 'no fields'}`, async t => {
    const { port } = await startServer(t, (_req, res) => {
      writeHead(res, statusCode, undefined, HeaderList.from(headers))
      res.end()
    })
    const head = await (await sendRequest(t, port, plainRequest('/'))).responseHead()
    assert.equal(head.headers('date').length, dates)
    if (headers[0] === 'Date') assert.equal(head.header('date'), headers[1])
  })
}

test('removes its fields again where Node refuses one, and leaves those of the app, which can write its own head', async t => {
  const { startLine, fields } = await written(t, res => {
    res.setHeader('X-Own', 'own')
    res.setHeader('Vary', 'Origin')
    const bad = HeaderList.from(['X-A', '2', 'Vary', 'Accept', 'X-Bad', 'line\nbreak'])
    assert.throws(() => writeHead(res, 200, 'Fine', bad), { name: 'WsTunnelError', statusCode: 502 })
    res.statusCode = 502
  })
  assert.equal(startLine, 'HTTP/1.1 502 Bad Gateway')
  assert.deepEqual(fields, [
    ['X-Own', 'own'],
    ['Vary', 'Origin'],
  ])
})

test('gives each field one value over HTTP/2, and each cookie a line', async t => {
  const server = createHttp2Server((_req, res) => {
    writeHead(res as unknown as ServerResponse, 200, 'Fine', HeaderList.from([...HEAD, 'Set-Cookie', 'd=4']))
    res.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => session.destroy())
  const [head] = await once(session.request({ ':path': '/' }), 'response')
  assert.deepEqual([head[':status'], head['x-b'], head['x-a'], head['set-cookie']], [200, '1, 3', '2', ['c=3', 'd=4']])
})
