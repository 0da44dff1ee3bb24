import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TunnelList } from '@ws-tunnel/manager'
import { startManaged } from '../harness.ts'

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
  assert.deepEqual(await found('offset=1'), [b, a])
  assert.deepEqual(await found('sort=url'), [c, a, b])
  assert.deepEqual(await found('reverse=1'), [a, b, c])
  assert.deepEqual(await found('client=127.&member=127&route=main+0'), [c, b, a])
  for (const none of ['client=10.', 'member=x', 'route=main+1', 'state=draining', 'state=idle'])
    assert.deepEqual(await found(none), [], none)
  for (const wrong of ['offset=-1', 'sort=x', 'state=x', 'reverse=2'])
    assert.equal((await managed.request(`api/tunnels?${wrong}`)).status, 400, wrong)
  const { total, found: many } = await managed.json<TunnelList>('api/tunnels?search=/b&limit=1')
  assert.deepEqual([total, many], [3, 2])
  for (const limit of ['', '0', '-1', '1001', 'x', '1.5', '5junk', '1e2', '0x5', ' 5', '5&limit=6'])
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
