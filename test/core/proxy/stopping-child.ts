import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type BalancerOptions, createTunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { managerPage } from '@ws-tunnel/manager'
import { metricsPage } from '@ws-tunnel/manager/metrics'
import { redisStore } from '@ws-tunnel/manager/redis'
import { closedPort, eventually, openHandles } from '../../support/gate.ts'
import { appOf, listen } from '../../support/server.ts'

// A gateway with the options of the first argument, and balancers whose members the name server of the second one tells; its manager on a store, and its metrics. A message closes everything but the server, a
// second one the server; then nothing may keep this process.

/** What keeps the process busy, and who listens to what outlives a gateway. */
export interface Left {
  handles: Record<string, number>
  listeners: [emitter: string, event: string, count: number][]
  /** Where each timer was set that runs. */
  timers: string[]
}

const server = createServer()

/** Timers that run, with where they were set; those that do not keep the process count too. */
const timers = new Map<number, string>()
const hook = createHook({
  init: (id, type) => {
    const { stack = '' } = type === 'Timeout' ? new Error('set here') : {}
    if (stack !== '' && !stack.includes('/gate.ts')) timers.set(id, stack)
  },
  destroy: id => void timers.delete(id),
})

function left(): Left {
  const { TTYWrap: _1, PipeWrap: _2, ...handles } = openHandles()
  const listeners: Left['listeners'] = []
  for (const [name, emitter] of Object.entries({ process, server })) {
    for (const event of emitter.eventNames())
      listeners.push([name, String(event), emitter.listenerCount(event as 'exit')])
  }
  for (const name of ['open', 'close', 'error', 'failover', 'member'])
    listeners.push(['ws-tunnel', name, Number(channel(`ws-tunnel:${name}`).hasSubscribers)])
  return { handles, listeners, timers: [...timers.values()] }
}

/** What is closed is gone a turn or two later. */
async function leftOnceGone(wanted: Left): Promise<Left> {
  await eventually(() => assert.deepEqual(left(), wanted)).catch(() => {})
  return left()
}

await listen(server)
hook.enable()
const before = left()

const [, , text = '', nameServer = ''] = process.argv
const options = JSON.parse(text) as WsTunnelOptions & { balancers: Record<string, BalancerOptions> }
const resolver = new Resolver()
resolver.setServers([nameServer])
const proxy = createTunnelProxy({
  ...options,
  balancers: {
    ...options.balancers,
    named: { members: [{ url: 'ws://backends.test', resolve: { type: 'A', resolver, interval: 100 } }] },
    unnamed: {
      members: [{ url: 'ws://nothing.test', resolve: { resolver: () => new Promise(() => {}), timeout: 60_000 } }],
    },
  },
})
// One that is away is tried again and again.
const store = redisStore({ url: `redis://127.0.0.1:${await closedPort()}` })
const manager = managerPage(proxy, {
  unsafeOpen: true,
  path: '/manager',
  hosts: ['front.example'],
  interval: 100,
  secret: 'of no use to anybody',
  store,
})
const metrics = metricsPage(proxy, { unsafeOpen: true })
const tunnels = appOf(proxy)
const app = (req: IncomingMessage, res: ServerResponse): void => {
  if (req.url === '/metrics') metrics(req, res)
  else manager(req, res, () => tunnels(req, res))
}
server.on('request', app)

process.once('message', async () => {
  await manager.close()
  metrics.close()
  await proxy.close({ drainTimeout: 0 })
  server.off('request', app)
  process.send?.(await leftOnceGone(before))
  await once(process, 'message')
  await new Promise(resolve => server.close(resolve))
  process.send?.(await leftOnceGone({ ...before, handles: {} }))
  process.disconnect()
})
const address = server.address()
process.send?.({ port: typeof address === 'object' ? address?.port : 0, before })
