import assert from 'node:assert/strict'
import { hasSubscribers } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { type Change, type ManagerOptions, managerPage, type TunnelList } from '@ws-tunnel/manager'
import { connect, plainRequest } from '../support/client.ts'
import { eventually, openHandles, within } from '../support/gate.ts'
import { manage, Stream, starts } from './harness.ts'

const start = starts['Express 5'] as NonNullable<(typeof starts)[string]>

const proxyOf = () => createTunnelProxy({ target: false })

test('is not made without authorize, nor with options that are wrong', () => {
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
      () => managerPage(proxyOf(), options as ManagerOptions),
      { name: 'TypeError', message },
      String(message),
    )
  for (const proxies of [undefined, null, () => {}, 'proxy', [1], { a: {} }])
    assert.throws(() => managerPage(proxies as never, { unsafeOpen: true }), TypeError, String(proxies))
})

test('leaves no timer and no subscription behind', () => {
  const before = openHandles()
  const pages = [proxyOf(), [proxyOf()], { a: proxyOf() }].map(proxies => managerPage(proxies, { unsafeOpen: true }))
  assert.ok(hasSubscribers('ws-tunnel:close'))
  for (const page of pages) page.close()
  for (const channel of ['open', 'close', 'error', 'member'])
    assert.ok(!hasSubscribers(`ws-tunnel:${channel}`), channel)
  assert.deepEqual(openHandles(), before)
})

test('lets so many watch and no more, and makes room when one leaves', async t => {
  const managed = await manage(t, start, { unsafeOpen: true, maxClients: 2, interval: 100 })
  const streams = [new Stream(await managed.ask('events')), new Stream(await managed.ask('events'))]
  const refused = await managed.ask('events')
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '30'])
  await streams[0]?.cancel()
  const third = await eventually(async () => {
    const response = await managed.ask('events')
    return response.status === 200 && new Stream(response)
  })
  assert.ok(await (third as Stream).next('state'))
})

test('sends no more to one who does not read, and goes on with the others', async t => {
  const long = 'x'.repeat(250)
  const managed = await manage(t, start, { unsafeOpen: true, interval: 100 }, backend => ({
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
  const reading = new Stream(await managed.ask('events', { signal: AbortSignal.timeout(20_000) }))
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

test('ends what one sees live when authorize no longer lets it in', async t => {
  let access = true
  const managed = await manage(t, start, { authorize: () => access, interval: 100, recheck: 100 })
  const stream = new Stream(await managed.ask('events'))
  await stream.next('state')
  access = false
  assert.equal(await within(3_000, 'the end of the stream', stream.next('never')), undefined)
})

test('gives no place among those who watch to one who left before authorize said yes', async t => {
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<boolean>()
  let first = true
  const managed = await manage(t, start, {
    authorize: () => {
      if (!first) return true
      first = false
      asked.resolve()
      return gate.promise
    },
    maxClients: 1,
  })
  const accepted = once(managed.server, 'connection') as Promise<[Socket]>
  const leaver = await connect(managed.port)
  const [socket] = await accepted
  leaver.send(plainRequest('/admin/manager/events'))
  await asked.promise
  leaver.destroy()
  await once(socket, 'close')
  gate.resolve(true)
  const stream = new Stream(await managed.ask('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})

test('lets one go who may no longer watch and reads nothing of what is on its way, and writes nothing more', async t => {
  let access = true
  const options = { authorize: () => access, interval: 100, recheck: 2_000, maxClients: 1 }
  const managed = await manage(t, start, options, backend => ({
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
  const stream = new Stream(await managed.ask('events'))
  assert.ok(await stream.next('state'))
  await stream.cancel()
})

test('goes on with a connection whose change was too long', async t => {
  const managed = await manage(t, start, { unsafeOpen: true })
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
  assert.equal((await within(3_000, 'the next answer', client.answer())).statusCode, 200)
})

test('finds tunnels by client, path, member, protocol and number, and lists the newest', async t => {
  const managed = await manage(t, start, { unsafeOpen: true })
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
  assert.deepEqual(await found('search=token'), [], 'what is not shown cannot be guessed either')
  const { total, found: many } = await managed.json<TunnelList>('api/tunnels?search=/b&limit=1')
  assert.deepEqual([total, many], [3, 2])
  for (const limit of ['0', '-1', '1001', 'x', '1.5'])
    assert.equal((await managed.ask(`api/tunnels?limit=${limit}`)).status, 400, limit)
})

test('shows queries where it is told to', async t => {
  const managed = await manage(t, start, { unsafeOpen: true, showQuery: true })
  await managed.tunnel('/a?token=1')
  const { list } = await managed.json<TunnelList>('api/tunnels?search=token')
  assert.deepEqual(
    list.map(({ url }) => url),
    ['/a?token=1'],
  )
})

test('tells onChange what was changed, and by which request', async t => {
  const heard: [Change, string | undefined][] = []
  const onChange: ManagerOptions['onChange'] = (change, req) => heard.push([change, req.headers['x-user'] as string])
  const managed = await manage(t, start, { unsafeOpen: true, onChange })
  await managed.tunnel()
  const ids = Array.from(managed.proxy.tunnels, ({ id }) => id)
  await managed.change('close-tunnels', { proxy: 'main', ids }, { 'X-User': 'tony' })
  await managed.change('close-tunnels', { proxy: 'other', ids }, { 'X-User': 'tony' })
  assert.deepEqual(heard, [[{ action: 'close-tunnels', proxy: 'main', ids }, 'tony']])
})

test('takes changes from an origin that it is told of, and tokens of another process with the same secret', async t => {
  const options: ManagerOptions = {
    unsafeOpen: true,
    origins: ['https://admin.example'],
    secret: 'the same in both of them',
  }
  const [one, two] = [await manage(t, start, options), await manage(t, start, options)]
  const { token } = await one.json<{ token: string }>('api/token')
  const headers = { Origin: 'https://admin.example', 'X-WS-Tunnel-Token': token }
  assert.equal((await two.change('close-tunnels', { proxy: 'main', ids: [] }, headers)).status, 200)
})

test('hands what authorize throws to the error handler of the app, and lets nobody in', async t => {
  const authorize = (): never => {
    throw new Error('the directory is away')
  }
  for (const name of ['Express 5', 'Connect', 'Fastify 5', 'node:http']) {
    const managed = await manage(t, starts[name] as typeof start, { authorize })
    const answer = await managed.ask('api/state')
    assert.equal(answer.status, 500, name)
    assert.doesNotMatch(await answer.text(), /"proxies"/)
  }
})
