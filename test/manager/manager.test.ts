import assert from 'node:assert/strict'
import { hasSubscribers } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { type Change, type ManagerOptions, managerPage, type TunnelList } from '@ws-tunnel/manager'
import { connect, plainRequest } from '../support/client.ts'
import { eventually, openHandles, within } from '../support/gate.ts'
import { EventStream, FRAMEWORKS, type StartServer, startManaged } from './harness.ts'

const createProxy = () => createTunnelProxy({ target: false })

test('managerPage throws without authorize, and for wrong options and proxies', () => {
  const wrong: [options: object, message: RegExp][] = [
    [{}, /`authorize`.*`unsafeOpen: true`/],
    [{ authorize: true }, /`authorize`/],
    [{ unsafeOpen: 'yes' }, /`unsafeOpen`/],
    [{ unsafeOpen: false }, /`authorize`/],
    [{ unsafeOpen: true, authorize: () => true }, /`unsafeOpen`/],
    [{ unsafeOpen: true, intervall: 1 }, /`intervall`/],
    [{ unsafeOpen: true, interval: 0 }, /`interval`.*from 100 to 60000, got 0/],
    [{ unsafeOpen: true, history: 1.5 }, /`history`/],
    [{ unsafeOpen: true, maxClients: '3' }, /`maxClients`/],
    [{ unsafeOpen: true, recheck: 0 }, /`recheck`/],
    [{ unsafeOpen: true, path: 'manager' }, /`path`/],
    [{ unsafeOpen: true, path: '/manager/' }, /`path`/],
    [{ unsafeOpen: true, origins: ['admin.example'] }, /`origins`/],
    [{ unsafeOpen: true, origins: ['https://admin.example/'] }, /`origins`/],
    [{ unsafeOpen: true, secret: 'short' }, /`secret`/],
    [{ unsafeOpen: true, title: 1 }, /`title`/],
    [{ unsafeOpen: true, showQuery: 1 }, /`showQuery`/],
    [{ unsafeOpen: true, onChange: 1 }, /`onChange`/],
  ]
  for (const [options, message] of wrong)
    assert.throws(
      () => managerPage(createProxy(), options as ManagerOptions),
      { name: 'TypeError', message },
      String(message),
    )
  for (const proxies of [undefined, null, () => {}, 'proxy', [1], { a: {} }])
    assert.throws(() => managerPage(proxies as never, { unsafeOpen: true }), TypeError, String(proxies))
})

test('close() ends every timer and subscription', () => {
  const before = openHandles()
  const pages = [createProxy(), [createProxy()], { a: createProxy() }].map(proxies =>
    managerPage(proxies, { unsafeOpen: true }),
  )
  assert.ok(hasSubscribers('ws-tunnel:close'))
  for (const page of pages) page.close()
  for (const channel of ['open', 'close', 'error', 'member'])
    assert.ok(!hasSubscribers(`ws-tunnel:${channel}`), channel)
  assert.deepEqual(openHandles(), before)
})

test('limits the live pages to maxClients, and accepts another when one disconnects', async t => {
  const managed = await startManaged(t, { unsafeOpen: true, maxClients: 2, interval: 100 })
  const streams = [new EventStream(await managed.request('events')), new EventStream(await managed.request('events'))]
  const refused = await managed.request('events')
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '30'])
  await streams[0]?.cancel()
  const third = await eventually(async () => {
    const response = await managed.request('events')
    return response.status === 200 && new EventStream(response)
  })
  assert.ok(await (third as EventStream).next('state'))
})

test('stops writing to a live page that does not read, and goes on with the others', async t => {
  const long = 'x'.repeat(250)
  const managed = await startManaged(t, { unsafeOpen: true, interval: 100 }, backend => ({
    routes: [
      { path: '/echo', target: `ws://${backend}/` },
      ...Array.from({ length: 1_000 }, (_, i) => ({ path: `/${long}${i}`, target: `ws://${backend}/${long}` })),
    ],
  }))
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const stalled = await connect(managed.port)
  t.after(() => stalled.destroy())
  const [[socket]] = await Promise.all([accepted, stalled.send(plainRequest('/admin/manager/events')).answer()])
  stalled.socket.pause()
  const client = await managed.tunnel('/echo')
  const reading = new EventStream(await managed.request('events', { signal: AbortSignal.timeout(20_000) }))
  let read = 0
  const states = async (n: number): Promise<void> => {
    for (let i = 0; i < n; i++) {
      client.send('x')
      read += JSON.stringify(await reading.next('state')).length
    }
  }
  while (socket.writableLength < 70_000) await states(1)
  const { writableLength } = socket
  await states(10)
  assert.equal(socket.writableLength, writableLength)
  assert.ok(writableLength < read / 2, `${writableLength} of ${read} bytes wait`)
})

test('ends a live page when authorize no longer allows it', async t => {
  let access = true
  const managed = await startManaged(t, { authorize: () => access, interval: 100, recheck: 100 })
  const stream = new EventStream(await managed.request('events'))
  await stream.next('state')
  access = false
  assert.equal(await within(3_000, 'the end of the stream', stream.next('never')), undefined)
})

test('counts no live page for a client that disconnected before authorize allowed it', async t => {
  const called = Promise.withResolvers<void>()
  const decision = Promise.withResolvers<boolean>()
  let first = true
  const managed = await startManaged(t, {
    authorize: () => {
      if (!first) return true
      first = false
      called.resolve()
      return decision.promise
    },
    maxClients: 1,
  })
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const client = await connect(managed.port)
  const [socket] = await accepted
  client.send(plainRequest('/admin/manager/events'))
  await called.promise
  client.destroy()
  await once(socket, 'close')
  decision.resolve(true)
  const stream = new EventStream(await managed.request('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})

test('disconnects a live page that is no longer allowed and does not read, without another write', async t => {
  let access = true
  const options = { authorize: () => access, interval: 100, recheck: 2_000, maxClients: 1 }
  const managed = await startManaged(t, options, backend => ({
    routes: [
      { path: '/echo', target: `ws://${backend}/` },
      ...Array.from({ length: 50 }, (_, i) => ({ path: `/${'x'.repeat(250)}${i}`, target: `ws://${backend}/` })),
    ],
  }))
  const client = await managed.tunnel('/echo')
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const stalled = await connect(managed.port)
  t.after(() => stalled.destroy())
  const [[socket]] = await Promise.all([accepted, stalled.send(plainRequest('/admin/manager/events')).answer()])
  stalled.socket.pause()
  while (socket.writableLength === 0) {
    client.send('x')
    await client.readExact(1)
    await managed.change('close-tunnels', { proxy: 'main', ids: [] })
  }
  assert.ok(socket.writableLength < 65_536)
  access = false
  await once(socket, 'close')
  access = true
  const stream = new EventStream(await managed.request('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})

test('serves further requests on a connection after a change that was too long', async t => {
  const managed = await startManaged(t, { unsafeOpen: true })
  const { token } = await managed.json<{ token: string }>('api/token')
  const client = await connect(managed.port)
  t.after(() => client.destroy())
  const headers = ['Content-Type: application/json', 'Sec-Fetch-Site: same-origin', `X-WS-Tunnel-Token: ${token}`]
  const path = '/admin/manager/api/close-tunnels'
  client.send(plainRequest(path, { method: 'POST', headers, body: 'x'.repeat(1_000_000) }))
  const refusal = await client.answer()
  assert.equal(refusal.statusCode, 413)
  await client.body(refusal)
  client.send(plainRequest('/admin/manager/api/state'))
  assert.equal((await within(3_000, 'the next response', client.answer())).statusCode, 200)
})

test('finds tunnels by client, path, member, protocol and number, and lists the newest', async t => {
  const managed = await startManaged(t, { unsafeOpen: true })
  for (const path of ['/a?token=1', '/b', '/B']) await managed.tunnel(path)
  const ids = Array.from(managed.proxy.tunnels, ({ id }) => id)
  const found = async (query: string): Promise<(number | undefined)[]> =>
    (await managed.json<TunnelList>(`api/tunnels?${query}`)).list.map(({ id }) => id)
  const [a, b, c] = ids
  assert.deepEqual(await found(''), [c, b, a])
  assert.deepEqual(await found('limit=2'), [c, b])
  assert.deepEqual(await found('search=/b'), [c, b])
  assert.deepEqual(await found('search=WebSocket&limit=1'), [c])
  assert.deepEqual(await found(`search=%23${a}+`), [a])
  assert.deepEqual(await found(`search=${managed.backend.address}`), [c, b, a])
  assert.deepEqual(await found('search=token'), [], 'a hidden query is not searched')
  const { total, found: many } = await managed.json<TunnelList>('api/tunnels?search=/b&limit=1')
  assert.deepEqual([total, many], [3, 2])
  for (const limit of ['0', '-1', '1001', 'x', '1.5'])
    assert.equal((await managed.request(`api/tunnels?limit=${limit}`)).status, 400, limit)
})

test('shows and searches queries with showQuery', async t => {
  const managed = await startManaged(t, { unsafeOpen: true, showQuery: true })
  await managed.tunnel('/a?token=1')
  const { list } = await managed.json<TunnelList>('api/tunnels?search=token')
  assert.deepEqual(
    list.map(({ url }) => url),
    ['/a?token=1'],
  )
})

test('calls onChange with the change and its request', async t => {
  const calls: [Change, string | undefined][] = []
  const onChange: ManagerOptions['onChange'] = (change, req) => calls.push([change, req.headers['x-user'] as string])
  const managed = await startManaged(t, { unsafeOpen: true, onChange })
  await managed.tunnel()
  const ids = Array.from(managed.proxy.tunnels, ({ id }) => id)
  await managed.change('close-tunnels', { proxy: 'main', ids }, { 'X-User': 'tony' })
  await managed.change('close-tunnels', { proxy: 'other', ids }, { 'X-User': 'tony' })
  assert.deepEqual(calls, [[{ action: 'close-tunnels', proxy: 'main', ids }, 'tony']])
})

test('accepts changes from one of origins, and tokens of another process with the same secret', async t => {
  const options: ManagerOptions = {
    unsafeOpen: true,
    origins: ['https://admin.example'],
    secret: 'the same in both of them',
  }
  const [one, two] = [await startManaged(t, options), await startManaged(t, options)]
  const { token } = await one.json<{ token: string }>('api/token')
  const headers = { Origin: 'https://admin.example', 'X-WS-Tunnel-Token': token }
  assert.equal((await two.change('close-tunnels', { proxy: 'main', ids: [] }, headers)).status, 200)
})

test('passes an error of authorize to the error handler of the app, and shows nothing', async t => {
  const authorize = (): never => {
    throw new Error('the directory is away')
  }
  for (const [framework, start] of Object.entries<StartServer>(FRAMEWORKS)) {
    const managed = await startManaged(t, { authorize }, undefined, start)
    const response = await managed.request('api/state')
    assert.equal(response.status, 500, framework)
    assert.doesNotMatch(await response.text(), /"proxies"/)
  }
})
