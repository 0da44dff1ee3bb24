import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Sample, State } from '@ws-tunnel/manager'
import { echo } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { type HandoverProcess, Succession } from '../support/handover/processes.ts'
import { connectTunnel, startBackend } from '../support/harness.ts'
import { async, native } from '../support/pump.ts'

async function read<T>(process: HandoverProcess, path: string): Promise<T> {
  const { managerPort } = await process.report('listening')
  return (await (await fetch(`http://127.0.0.1:${managerPort}/${path}`)).json()) as T
}

test('history, counts and the marks of moved tunnels go on in the process that takes over', native, async t => {
  const backend = await startBackend(t, echo())
  const options = { target: backend.url, async }
  const gateways = await Succession.create(t, { framework: 'node:http', manager: true, options } as never)
  const first = await gateways.next()
  const port = await first.port()
  const [client, ending] = [await connectTunnel(t, port, '/'), await connectTunnel(t, port, '/')]
  for (const each of [client, ending]) {
    each.send('x'.repeat(500_000))
    await each.readExact(500_000)
  }
  ending.end()
  await eventually(async () => (await read<State>(first, 'api/state')).tunnels.total === 1)
  await eventually(async () => (await read<Sample[]>(first, 'api/history')).length > 5)
  const before = await read<Sample[]>(first, 'api/history')

  const second = await gateways.next()
  await eventually(async () => (await read<State>(second, 'api/state')).tunnels.total === 1)
  const { proxies, tunnels } = await read<State>(second, 'api/state')
  assert.deepEqual([proxies[0]?.opened, proxies[0]?.bytesFromClient], [2, 1_000_000])
  assert.equal(tunnels.list[0]?.handovers, 1)
  const known = new Set(before.map(({ time }) => time))
  await eventually(async () => {
    const samples = await read<Sample[]>(second, 'api/history')
    return samples.length > before.length + 3
  })
  const after = await read<Sample[]>(second, 'api/history')
  assert.ok(after.filter(({ time }) => known.has(time)).length >= before.length - 1)
  const fresh = after.slice(before.length)
  assert.ok(fresh.every(({ time, fromClient }) => time > (before.at(-1)?.time ?? 0) && fromClient === 0))
})
