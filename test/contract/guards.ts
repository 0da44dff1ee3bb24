import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WsTunnelError } from '@ws-tunnel/core'
import { echo, responding } from '../support/backend.ts'
import { assertFailure } from '../support/harness.ts'
import * as certificates from '../support/tls.ts'
import type { Theme } from './theme.ts'

const challenge = new WsTunnelError('WST_ERR_ACCESS', {
  statusCode: 401,
  headers: { 'WWW-Authenticate': 'Basic realm="r"' },
})

/** The options `guard` and `localHeaders`, and the check of a backend whose chain is not verified. */
export const guardsTheme: Theme = setUp => {
  test('refuses a request and an upgrade with the error of the guard, and contacts no backend', async t => {
    const guard = async (): Promise<void> => {
      await sleep(1)
      throw challenge
    }
    const { gateway, backend, get, refused } = await setUp(t, echo(), { guard })
    assertFailure(gateway, await refused('/'), 401, 'WST_ERR_ACCESS')
    assert.equal((await get('/')).header('www-authenticate'), 'Basic realm="r"')
    assert.equal(backend.connections.length, 0)
  })

  test('500s a request whose guard fails with another error', async t => {
    const guard = (): void => {
      throw new Error('secret')
    }
    const { gateway, refused } = await setUp(t, echo(), { guard })
    assertFailure(gateway, await refused('/'), 500, 'WST_ERR_CALLBACK')
  })

  test('tunnels an upgrade that the guard lets pass later, with the bytes that came early', async t => {
    const { tunnel } = await setUp(t, echo(), { guard: () => sleep(20) })
    const client = await tunnel('/')
    assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
  })

  test('guards a request for the app too: one of a route with the target false, and one that no route matches', async t => {
    const urls: (string | undefined)[] = []
    const { get } = await setUp(t, responding(), ({ address }) => ({
      guard: ({ url }) => {
        urls.push(url)
        if (url?.endsWith('secret')) throw challenge
      },
      routes: [
        { path: '/app', target: false },
        { path: '/backend', target: `http://${address}/` },
      ],
    }))
    for (const path of ['/app/secret', '/none/secret', '/backend/secret'])
      assert.equal((await get(path)).statusCode, 401)
    assert.equal((await get('/backend')).statusCode, 200)
    assert.equal((await get('/app')).statusCode, 404)
    assert.equal(urls.length, 5)
  })

  test('sets the fields of localHeaders on errors, on responses of the app and on its own, and on no other', async t => {
    const { get } = await setUp(t, responding({ headers: ['X-Local: backend'] }), ({ address }) => ({
      localHeaders: { set: { 'X-Local': 'yes' } },
      routes: [
        { path: '/error', target: 'http://127.0.0.1:1/' },
        { path: '/moved', target: () => ({ status: 301, location: '/x' }) },
        { path: '/app', target: () => false },
        { path: '/backend', target: `http://${address}/` },
      ],
    }))
    for (const [path, status] of [
      ['/error', 503],
      ['/moved', 301],
      ['/app', 404],
      ['/none', 404],
    ] as const) {
      const response = await get(path)
      assert.deepEqual([response.statusCode, response.header('x-local')], [status, 'yes'], path)
    }
    assert.equal((await get('/backend')).header('x-local'), 'backend')
  })

  test('gives localHeaders the fields of the error', async t => {
    const { get } = await setUp(t, responding(), {
      guard: () => {
        throw challenge
      },
      localHeaders: headers => {
        headers.append('X-Seen', headers.get('www-authenticate') ?? 'none')
      },
    })
    assert.equal((await get('/')).header('x-seen'), 'Basic realm="r"')
  })

  test('calls checkServerIdentity for a backend whose chain is not verified, before it sends anything', async t => {
    const hosts: string[] = []
    const tls = {
      rejectUnauthorized: false,
      checkServerIdentity: (host: string) => {
        hosts.push(host)
        return host === 'localhost' ? undefined : new Error('not this one')
      },
    }
    const { get, refused, backend } = await setUp(
      t,
      responding(),
      ({ port }) => ({
        tls,
        routes: [
          { path: '/good', target: `https://localhost:${port}` },
          { path: '/bad', target: `https://127.0.0.1:${port}` },
        ],
      }),
      { backend: { tls: certificates.wrongName } },
    )
    assert.equal((await get('/good')).statusCode, 200)
    const before = backend.seen.length
    assert.equal((await get('/bad')).statusCode, 502)
    assert.equal((await refused('/bad')).statusCode, 502)
    assert.equal(backend.seen.length, before)
    assert.deepEqual([...new Set(hosts)], ['localhost', '127.0.0.1'])
  })

  test('sends bytes above 127 in the path and in the fields of a request with a body as they are', async t => {
    const { request, backend } = await setUp(t, responding(), {
      requestHeaders: headers => {
        headers.set('X-Bytes', '\xc3\xa9')
      },
    })
    await request('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok')
    assert.equal(backend.seen[0]?.header('x-bytes'), '\xc3\xa9')
  })
}
