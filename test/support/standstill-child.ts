import { createServer } from 'node:http'
import { createTunnelProxy, listenForUpgrades, type WsTunnelOptions } from '@ws-tunnel/core'
import { appOf, listen } from './server.ts'

// A gateway with the options of the first argument. Sends to the parent process its port, then `opened`, `ended` and the
// health of its first member as they change. The message `block` blocks its event loop for that many ms.

/** What it sends. */
export type FromChild =
  | { port: number }
  | { opened: true }
  | { ended: string }
  | { health: { ok: boolean; detail: string } }
  | { unblocked: true }

const send = (message: FromChild): void => void process.send?.(message)

const proxy = createTunnelProxy({
  ...(JSON.parse(process.argv[2] as string) as WsTunnelOptions),
  onOpen: () => send({ opened: true }),
  onClose: ({ end }) => send({ ended: end.reason }),
})
const app = appOf(proxy)
const server = createServer(app)
listenForUpgrades(server, app)

const [member] = proxy.balancers.get('b')?.members ?? []
let checked: unknown
setInterval(() => {
  const health = member?.health
  if (health === undefined || health.checkedAt === checked) return
  checked = health.checkedAt
  send({ health: { ok: health.ok === true, detail: health.detail } })
}, 20)

process.on('message', ({ block }: { block: number }) => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block)
  send({ unblocked: true })
})
process.on('disconnect', () => process.exit())
send({ port: await listen(server) })
