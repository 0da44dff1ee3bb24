import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { raw, responding, type Script, switching } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { eventually, within } from '../support/gate.ts'
import type { Theme } from './theme.ts'

/** `é` in UTF-8, a byte that is no UTF-8, and bytes that Unicode reads as a blank and as a line end. */
const HIGH = '\xc3\xa9 \xff \xa0\x85.'

const DISPOSITION = `Content-Disposition: attachment; filename="${HIGH}"`

/** The very bytes of heads and trailers, whichever call of Node writes them. One character is one byte. */
export const bytesTheme: Theme = setUp => {
  for (const [kind, more] of [
    ['a GET', {}],
    ['a POST with a length', { method: 'POST', body: 'x' }],
    [
      'a POST in chunks',
      { method: 'POST', headers: ['Transfer-Encoding: chunked'], body: `1\r\nx\r\n0\r\nX-T: ${HIGH}\r\n\r\n` },
    ],
  ] as const) {
    test(`sends bytes above 127 in the fields of ${kind} as they came`, async t => {
      const setup = await setUp(t, responding())
      const headers = [`X-High: ${HIGH}`, DISPOSITION, ...('headers' in more ? more.headers : [])]
      await setup.get('/', { ...more, headers })
      const { raw: head } = await setup.backend.request()
      assert.ok(head.includes(`X-High: ${HIGH}\r\n${DISPOSITION}\r\n`), head)
    })
  }

  test('sends bytes above 127 in the fields of an upgrade request as they came', async t => {
    const setup = await setUp(t, switching())
    await setup.tunnel('/', { headers: { 'X-High': HIGH } })
    assert.ok((await setup.backend.request()).raw.includes(`X-High: ${HIGH}\r\n`))
  })

  const FINAL: [what: string, script: Script, method?: string][] = [
    ['a whole response', responding({ reason: HIGH, headers: [`X-High: ${HIGH}`, DISPOSITION] })],
    [
      'a response whose length comes before Content-Disposition',
      responding({ reason: HIGH, headers: [`X-High: ${HIGH}`, 'Content-Length: 16', DISPOSITION] }),
    ],
    [
      'a response without a body',
      responding({ statusCode: 204, reason: HIGH, headers: [`X-High: ${HIGH}`], body: '' }),
    ],
    ['a response to HEAD', responding({ reason: HIGH, headers: [`X-High: ${HIGH}`, DISPOSITION] }), 'HEAD'],
    [
      'a head whose body never comes',
      raw(`HTTP/1.1 200 ${HIGH}\r\nX-High: ${HIGH}\r\nContent-Length: 9\r\n${DISPOSITION}\r\n\r\n`, 'keep'),
    ],
    [
      'a response in chunks',
      raw(`HTTP/1.1 200 ${HIGH}\r\nX-High: ${HIGH}\r\nTransfer-Encoding: chunked\r\n\r\n`, 'keep'),
    ],
    ['a response until FIN', raw(`HTTP/1.1 200 ${HIGH}\r\nX-High: ${HIGH}\r\n\r\nbody`)],
  ]
  for (const [what, script, method = 'GET'] of FINAL) {
    test(`relays bytes above 127 in the head of ${what} as they came`, async t => {
      const setup = await setUp(t, script)
      const head = await (await setup.connect()).send(plainRequest('/', { method })).responseHead()
      assert.equal(head.reason, HIGH)
      assert.ok(head.raw.includes(`X-High: ${HIGH}\r\n`), head.raw)
      if (head.header('content-disposition') !== undefined) assert.ok(head.raw.includes(`${DISPOSITION}\r\n`), head.raw)
    })
    if (method === 'HEAD') continue
    test(`relays bytes above 127 in the head of ${what} to an upgrade request as they came`, async t => {
      const setup = await setUp(t, script)
      const head = await (await setup.upgrade('/')).responseHead()
      assert.equal(head.reason, HIGH)
      assert.ok(head.raw.includes(`X-High: ${HIGH}\r\n`), head.raw)
    })
  }

  test('relays a reason phrase that comes in two packets', async t => {
    const setup = await setUp(t, async connection => {
      await connection.request()
      await connection.write(`HTTP/1.1 200 half \xc3`)
      await new Promise(resolve => setTimeout(resolve, 50))
      await connection.write(`\xa9 half\r\nContent-Length: 0\r\n\r\n`)
    })
    assert.equal((await setup.get('/')).reason, 'half \xc3\xa9 half')
  })

  test('relays bytes above 127 in the fields and the reason of a 101 as they came', async t => {
    const setup = await setUp(t, switching({ reason: HIGH, headers: [`X-High: ${HIGH}`, DISPOSITION] }))
    const head = await (await setup.upgrade('/')).responseHead()
    assert.equal(`${head.statusCode} ${head.reason}`, `101 ${HIGH}`)
    assert.ok(head.raw.includes(`X-High: ${HIGH}\r\n`), head.raw)
    assert.ok(head.raw.includes(`${DISPOSITION}\r\n`), head.raw)
  })

  const interim = `HTTP/1.1 103 ${HIGH}\r\nLink: <${HIGH}>\r\nContent-Length: 0\r\nX-Drop: 1\r\n\r\n`
  for (const [kind, request] of [
    ['a plain request', plainRequest('/')],
    ['an upgrade request', upgradeRequest('/')],
  ] as const) {
    test(`relays interim responses to ${kind} as they came, edited and without framing`, async t => {
      const options = { responseHeaders: { unset: ['X-Drop'], set: { 'X-Set': 'yes' } } }
      const setup = await setUp(t, raw(`${interim}HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok`), options)
      const client = (await setup.connect()).send(request)
      const hints = await client.responseHead()
      assert.equal(hints.raw, `HTTP/1.1 103 ${HIGH}\r\nLink: <${HIGH}>\r\nX-Set: yes\r\n\r\n`)
      assert.equal((await client.whole()).body, 'ok')
    })
  }

  test('relays a 100 that the request did not ask for, in one packet with others or in pieces', async t => {
    const continued = 'HTTP/1.1 100 Continue\r\n\r\n'
    const final = 'HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok'
    for (const [at, text] of [
      [0, `${continued}HTTP/1.1 102 Busy\r\n\r\n${final}`],
      [7, continued + final],
      [20, continued + final],
    ] as const) {
      const setup = await setUp(t, async connection => {
        await connection.request()
        await connection.write(text.slice(0, at))
        if (at > 0) await new Promise(resolve => setTimeout(resolve, 50))
        await connection.write(text.slice(at))
      })
      const client = (await setup.connect()).send(plainRequest('/'))
      assert.equal((await client.responseHead()).statusCode, 100)
      if (at === 0) assert.equal((await client.responseHead()).statusCode, 102)
      assert.equal((await client.whole()).body, 'ok')
    }
  })

  for (const [kind, request] of [
    ['a plain request', plainRequest('/')],
    ['an upgrade request', upgradeRequest('/')],
  ] as const) {
    for (const framing of ['Content-Length: 5', 'Transfer-Encoding: chunked', 'Connection: close']) {
      for (const then of ['keep', 'end', 'reset'] as const) {
        test(`sends the head to ${kind} at once if the body (${framing}) does not come (${then})`, async t => {
          const setup = await setUp(t, raw(`HTTP/1.1 200 Fine\r\nX-Early: 1\r\n${framing}\r\n\r\n`, then))
          const head = await within(1_000, 'a head', (await setup.connect()).send(request).responseHead())
          assert.deepEqual([head.statusCode, head.header('x-early')], [200, '1'])
        })
      }
    }
  }

  test('sends a small whole response in one packet', async t => {
    const setup = await setUp(t, responding({ body: 'whole' }))
    const client = await setup.connect()
    const packets: string[] = []
    client.socket.on('data', chunk => packets.push(chunk.toString('latin1')))
    assert.equal((await client.send(plainRequest('/')).whole()).body, 'whole')
    assert.equal(packets.length, 1)
  })

  const withTrailers =
    `HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Type\r\n\r\n` +
    `4\r\nbody\r\n0\r\nX-Sum: ${HIGH}\r\nContent-Type: a/b\r\nSet-Cookie: a=1\r\nx-own: 2\r\n\r\n`

  test('passes the trailers of a response to a client that accepts them, without those that are forbidden', async t => {
    const setup = await setUp(t, raw(withTrailers, 'keep'))
    const client = (await setup.connect()).send(plainRequest('/', { headers: ['TE: trailers', 'Connection: TE'] }))
    const head = await client.responseHead()
    assert.equal(head.header('trailer'), 'X-Sum')
    const { body, trailers } = await client.readChunked()
    assert.deepEqual([String(body), trailers], ['body', `X-Sum: ${HIGH}\r\nx-own: 2\r\n`])
    const request = await setup.backend.request()
    assert.equal(request.header('te'), 'trailers')
    assert.match(request.header('connection') ?? '', /\bTE\b/)
  })

  test('drops the trailers of a response for a client that does not accept them', async t => {
    const setup = await setUp(t, raw(withTrailers, 'keep'))
    const client = (await setup.connect()).send(plainRequest('/'))
    assert.equal((await client.responseHead()).header('trailer'), undefined)
    assert.deepEqual(await client.readChunked(), { body: Buffer.from('body'), trailers: '' })
  })

  test('passes the trailers of a request, without those that are forbidden', async t => {
    const seen: unknown[] = []
    const setup = await setUp(t, async connection => {
      const { header } = await connection.request()
      seen.push(header('trailer'), await connection.readChunked())
      await connection.write('HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n')
    })
    await setup.request(
      `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host\r\n\r\n` +
        `4\r\nbody\r\n0\r\nX-Sum: ${HIGH}\r\nHost: other\r\nAuthorization: b\r\n\r\n`,
    )
    await eventually(() => seen.length === 2)
    assert.deepEqual(seen, ['X-Sum', { body: Buffer.from('body'), trailers: `X-Sum: ${HIGH}\r\n` }])
  })

  for (const [what, options] of [
    ['TCP', {}],
    ['TLS to the client', { clientWire: 'TLS' }],
    ['TLS to the backend', { backendWire: 'TLS' }],
  ] as const) {
    test(`relays a long body byte for byte to a client that pauses (${what})`, async t => {
      const body = randomBytes(3_000_000)
      const setup = await setUp(
        t,
        async connection => {
          for (;;) {
            const { path } = await connection.request()
            const bytes = path === '/short' ? body.subarray(0, 100) : body
            await connection.write(`HTTP/1.1 200 Fine\r\nContent-Length: ${bytes.length}\r\n\r\n`)
            // Pieces of many sizes, and bytes behind the body, which are no part of it.
            for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 3 + 7) % 200_000)
              await connection.write(bytes.subarray(at, at + size))
            if (path === '/more') await connection.write('more than was announced')
          }
        },
        {},
        options,
      )
      for (const path of ['/long', '/more', '/short']) {
        const client = (await setup.connect()).send(plainRequest(path))
        const head = await client.responseHead()
        const pausing = setInterval(() => {
          client.socket.pause()
          setTimeout(() => client.socket.resume(), 20)
        }, 60)
        const got = await client.body(head).finally(() => clearInterval(pausing))
        client.socket.resume()
        assert.ok(got.equals(path === '/short' ? body.subarray(0, 100) : body), path)
        assert.equal(client.pending.length, 0)
      }
    })
  }

  for (const then of ['end', 'reset'] as const) {
    test(`never completes a long body that the backend cuts short (${then})`, async t => {
      const setup = await setUp(t, async connection => {
        await connection.request()
        await connection.write('HTTP/1.1 200 Fine\r\nContent-Length: 3000000\r\n\r\n')
        await connection.write(Buffer.alloc(2_000_000))
        connection[then]()
      })
      const client = (await setup.connect()).send(plainRequest('/'))
      const head = await client.responseHead()
      await assert.rejects(client.body(head), /no 3000000 bytes/)
    })
  }
}
