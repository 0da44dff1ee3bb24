import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { echo, record } from '../../support/backend.ts'
import { eventually, openHandles } from '../../support/gate.ts'
import { setUp } from '../../support/harness.ts'
import { native } from '../../support/pump.ts'
import { offer, receiveRandomly, seeded, sendRandomly } from '../../support/traffic.ts'

const offload = { async: true }

test('hands a busy tunnel over after asyncDelay without the loss of a byte', native, async t => {
  const { gateway, open } = await setUp(t, record(), { ...offload, asyncDelay: 30 })
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const all: Awaited<ReturnType<typeof open>>[] = []
  while (all.length < 8) all.push(await open())
  await Promise.all(
    all.map(async ({ client, connection, tunnel }, i) => {
      const [near, far] = [client.release(), connection.release()]
      const [up, down] = [3_000_000, 2_000_000]
      const sent = Promise.all([sendRandomly(near, up, seeded(seed + i)), sendRandomly(far, down, seeded(seed - i))])
      const [gotUp, gotDown] = await Promise.all([receiveRandomly(far, seeded(i)), receiveRandomly(near, seeded(-i))])
      const [sentUp, sentDown] = await sent
      assert.deepEqual(gotUp, { digest: sentUp, bytes: up })
      assert.deepEqual(gotDown, { digest: sentDown, bytes: down })
      const { bytesFromClient, bytesFromBackend } = await tunnel.ended
      assert.deepEqual([bytesFromClient, bytesFromBackend], [up, down])
    }),
  )
  assert.ok(
    gateway.opened.some(({ offloaded }) => offloaded),
    'no tunnel was handed over',
  )
})

test('hands a silent tunnel over after asyncDelay, and keeps its byte counts', native, async t => {
  const { open } = await setUp(t, echo(), { ...offload, asyncDelay: 50 })
  const { client, tunnel } = await open()
  assert.equal((await client.send('before').readExact(6)).toString(), 'before')
  assert.equal(tunnel.offloaded, false)
  await eventually(() => tunnel.offloaded)
  assert.equal((await client.send('after').readExact(5)).toString(), 'after')
  assert.deepEqual([tunnel.bytesFromClient, tunnel.bytesFromBackend], [11, 11])
  client.end()
  await client.readAll()
  const end = await tunnel.ended
  assert.deepEqual([end.reason, end.bytesFromClient, tunnel.bytesFromClient], ['finished', 11, 11])
})

test('hands a tunnel over only after a slow reader has read what waits for it', native, async t => {
  const { open } = await setUp(t, record(), { ...offload, asyncDelay: 500 })
  const { client, connection, tunnel } = await open()
  const reader = client.release()
  const bytes = await offer(connection.socket)
  await sleep(500)
  assert.equal(tunnel.offloaded, false)
  connection.socket.write('last')
  const received = receiveRandomly(reader, () => 1)
  await eventually(() => tunnel.offloaded, 10_000)
  connection.end()
  assert.equal((await received).bytes, bytes + 4)
  assert.equal(tunnel.bytesFromBackend, bytes + 4)
})

test('stays in JavaScript after the first FIN', native, async t => {
  const { open } = await setUp(t, record(), { ...offload, asyncDelay: 100 })
  const { client, connection, tunnel } = await open()
  client.end()
  await connection.readAll()
  await sleep(200)
  assert.equal(tunnel.offloaded, false)
  connection.end('bye')
  assert.equal((await client.readAll()).toString(), 'bye')
})

test('leaves no timer behind if it ends before asyncDelay', native, async t => {
  const { open } = await setUp(t, record(), { ...offload, asyncDelay: 60_000 })
  const before = openHandles()['Timeout'] ?? 0
  const { tunnel } = await open()
  assert.ok((openHandles()['Timeout'] ?? 0) > before)
  await tunnel.close()
  await eventually(() => assert.equal(openHandles()['Timeout'] ?? 0, before))
})
