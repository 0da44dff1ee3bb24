import { subscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createTunnelProxy,
  type DiagnosticsMessages,
  listenForUpgrades,
  type WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { now } from './clock.ts'

// A gateway with the options of the first argument. It sends its parent its port, each change of a member, and the members on
// request, and changes a member on request. SIGTERM closes it as a gateway should be closed; the process must then end by itself.

/** The state of a member, for the parent. */
export interface MemberView {
  url: string
  status: string
  usable: boolean
  /** Open tunnels. */
  open: number
  /** Tunnels and requests in progress. */
  busy: number
}

/** Messages to the parent. */
export type Report =
  | { kind: 'port'; port: number }
  | { kind: 'change'; at: number; url: string; usable: boolean }
  | { kind: 'members'; members: MemberView[] }
  | { kind: 'changed' }

/** Messages from the parent. */
export type Order = { kind: 'members' } | { kind: 'change'; url: string; status: string }

/** The body of the response to a request that failed. */
export interface Failure {
  code: string
  /** When the first member was selected for it. */
  selectedAt: number
}

const send = (report: Report): void => void process.send?.(report)

const proxy = createTunnelProxy(JSON.parse(process.argv[2] ?? '') as WsTunnelOptions)
const members = () => Array.from(proxy.balancers.values(), balancer => balancer.members).flat()

const app = (req: IncomingMessage, res: ServerResponse): void => {
  const handled = proxy.handle(req, res)
  const selectedAt = now()
  handled.catch((error: WsTunnelError) => {
    res.statusCode = error.statusCode ?? 500
    res.end(JSON.stringify({ code: error.code ?? String(error), selectedAt } satisfies Failure))
  })
}
const server = createServer(app)
listenForUpgrades(server, app)

subscribe('ws-tunnel:member', message => {
  const { member } = message as DiagnosticsMessages['ws-tunnel:member']
  send({ kind: 'change', at: now(), url: member.url, usable: member.usable })
})

process.on('message', (order: Order) => {
  if (order.kind === 'change') {
    members()
      .find(({ url }) => url === order.url)
      ?.change({ status: order.status })
    send({ kind: 'changed' })
    return
  }
  const views = members().map(({ url, status, usable, tunnels, busy }) => ({
    url,
    status,
    usable,
    open: tunnels.size,
    busy,
  }))
  send({ kind: 'members', members: views })
})
process.on('disconnect', () => process.exit())
process.once('SIGTERM', async () => {
  server.close()
  await proxy.close({ drainTimeout: 0 })
  server.closeAllConnections()
  process.removeAllListeners('message')
  process.removeAllListeners('disconnect')
  process.channel?.unref()
})

server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () =>
  send({ kind: 'port', port: (server.address() as AddressInfo).port }),
)
