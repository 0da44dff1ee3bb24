import assert from 'node:assert/strict'
import { hasSubscribers } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { type Change, type ManagerOptions, managerPage } from '@ws-tunnel/manager'
import { openHandles } from '../support/gate.ts'
import { FRAMEWORKS, type StartServer, startManaged } from './harness.ts'

const createProxy = () => createTunnelProxy({ target: false })

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
