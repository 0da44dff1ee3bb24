import assert from 'node:assert/strict'
import { hasSubscribers } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { Counter, Registry } from 'prom-client'
import { responding } from '../../support/backend.ts'
import { connect, openTunnel, upgradeRequest } from '../../support/client.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { startMeasured } from '../harness.ts'

test('counts tunnels, ends, bytes, handshakes, errors and requests, by route and member', async t => {
  const nowhere = `ws://127.0.0.1:${await closedPort()}/`
  const m = await startMeasured(t, backend => ({
    routes: [
      { path: '/gone', target: nowhere },
      { path: '/"chat"', target: `ws://${backend}/` },
    ],
  }))
  const where = `proxy="main",route="/\\"chat\\"",member="${m.backend.address}"`
  const path = '/"chat"'
  const { client: first } = await openTunnel(m.port, path)
  const { client: second } = await openTunnel(m.port, path)
  first.send('hello')
  await first.readExact(5)
  assert.deepEqual(await m.values('ws_tunnel_tunnels_open'), { [`{${where}}`]: 2 })
  assert.equal((await m.values('ws_tunnel_bytes_total'))[`{${where},direction="from_client"}`], 5)
  first.send('again')
  await first.readExact(5)
  first.end()
  await first.readAll()
  await eventually(async () => (await m.values('ws_tunnel_tunnels_open'))[`{${where}}`] === 1)
  assert.deepEqual(await m.values('ws_tunnel_tunnels_opened_total'), { [`{${where}}`]: 2 })
  assert.deepEqual(await m.values('ws_tunnel_tunnels_ended_total'), { [`{${where},reason="finished"}`]: 1 })
  assert.deepEqual(await m.values('ws_tunnel_bytes_total'), {
    [`{${where},direction="from_client"}`]: 10,
    [`{${where},direction="from_backend"}`]: 10,
  })
  assert.deepEqual(await m.values('ws_tunnel_handshake_seconds_count'), { [`{${where}}`]: 2 })
  const refused = await connect(m.port)
  await refused.send(upgradeRequest('/gone')).responseHead()
  refused.destroy()
  assert.deepEqual(await m.values('ws_tunnel_errors_total'), { '{proxy="main",code="WST_ERR_CONNECT"}': 1 })
  assert.deepEqual(await m.values('ws_tunnel_route_requests_total'), {
    '{proxy="main",route="/gone"}': 1,
    '{proxy="main",route="/\\"chat\\""}': 2,
  })
  second.destroy()
})

test('counts the bytes of plain requests by route, without a balancer too', async t => {
  const m = await startMeasured(t, backend => ({
    routes: [
      { path: '/api', target: `http://${backend}/` },
      { path: '/', target: `http://${backend}/` },
    ],
  }))
  m.backend.play(responding({ body: 'x'.repeat(1_000) }))
  await (await fetch(`http://127.0.0.1:${m.port}/api`, { method: 'POST', body: 'y'.repeat(2_000) })).text()
  const bytes = await eventually(async () => {
    const values = await m.values('ws_tunnel_http_bytes_total')
    return values['{proxy="main",route="/api",direction="from_client"}'] ? values : false
  })
  const between = (direction: string, least: number): void => {
    const found = Object(bytes)[`{proxy="main",route="/api",direction="${direction}"}`]
    assert.ok(found > least && found < least + 1_000, `${direction}: ${found}`)
    assert.equal(Object(bytes)[`{proxy="main",route="/",direction="${direction}"}`], 0)
  }
  between('from_client', 2_000)
  between('from_backend', 1_000)
})

test('labels at most maxMembers backends of a function target', async t => {
  const m = await startMeasured(
    t,
    backend => ({ target: req => `ws://${req.url === '/b' ? backend.replace('127.0.0.1', 'localhost') : backend}/` }),
    { unsafeOpen: true, maxMembers: 1 },
  )
  for (const path of ['/a', '/b', '/a']) (await openTunnel(m.port, path)).client.destroy()
  const opened = await m.values('ws_tunnel_tunnels_opened_total')
  assert.deepEqual(Object.entries(opened), [
    [`{proxy="main",route="/",member="${m.backend.address}"}`, 2],
    ['{proxy="main",route="/",member="other"}', 1],
  ])
})

test('measures members: usable, busy, selected, failures and failovers', async t => {
  const nowhere = `ws://127.0.0.1:${await closedPort()}`
  const m = await startMeasured(t, backend => ({
    balancers: { chat: { members: [{ url: nowhere }, { url: `ws://${backend}` }] } },
    target: 'balancer://chat/',
  }))
  const { client } = await openTunnel(m.port, '/')
  const of = (url: string): string => `{proxy="main",balancer="chat",member="${url}"}`
  const alive = `ws://${m.backend.address}`
  assert.deepEqual(await m.values('ws_tunnel_member_usable'), { [of(nowhere)]: 0, [of(alive)]: 1 })
  assert.deepEqual(await m.values('ws_tunnel_member_busy'), { [of(nowhere)]: 0, [of(alive)]: 1 })
  assert.deepEqual(await m.values('ws_tunnel_member_selected_total'), { [of(nowhere)]: 1, [of(alive)]: 1 })
  assert.deepEqual(await m.values('ws_tunnel_member_failures_total'), { [of(nowhere)]: 1, [of(alive)]: 0 })
  assert.deepEqual(await m.values('ws_tunnel_failovers_total'), { [`{proxy="main",member="${nowhere}"}`]: 1 })
  assert.deepEqual(await m.values('ws_tunnel_tunnels_open'), { [`{proxy="main",route="/",member="${alive}"}`]: 1 })
  client.destroy()
})

test('shares a registry with other metrics, and removes its own on close()', async t => {
  const register = new Registry()
  new Counter({ name: 'of_the_app', help: 'Another.', registers: [register] })
  const m = await startMeasured(t, backend => ({ target: `ws://${backend}/` }), {
    unsafeOpen: true,
    register,
    prefix: 'chat_',
  })
  assert.deepEqual(
    [await m.values('of_the_app'), await m.values('chat_route_requests_total')],
    [{ '': 0 }, { '{proxy="main",route="/"}': 0 }],
  )
  m.metrics.close()
  assert.deepEqual(
    (await register.getMetricsAsJSON()).map(({ name }) => name),
    ['of_the_app'],
  )
})

test('close() ends every subscription', async t => {
  const m = await startMeasured(t, () => ({ target: false }))
  m.closeManager()
  assert.ok(hasSubscribers('ws-tunnel:open'))
  m.metrics.close()
  assert.ok(!hasSubscribers('ws-tunnel:open'))
})

test('what only grows is a counter whose name ends in _total, and nothing else is', async t => {
  const m = await startMeasured(t, backend => ({
    balancers: { chat: { members: [{ url: `ws://${backend}/` }] } },
    target: 'balancer://chat/',
  }))
  ;(await openTunnel(m.port, '/')).client.destroy()
  const text = await (await fetch(m.metricsUrl)).text()
  const types = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => ({
    name: name as string,
    type,
  }))
  assert.ok(types.length >= 10, text)
  for (const { name, type } of types) assert.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`)
  for (const name of ['member_selected_total', 'member_failures_total', 'route_requests_total'])
    assert.ok(
      types.some(each => each.name === `ws_tunnel_${name}`),
      name,
    )
  assert.deepEqual(Object.values(await m.values('ws_tunnel_member_selected_total')), [1])
})
