import { subscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type {
  DiagnosticsMessages,
  HandoverReport,
  Tunnel,
  TunnelEnd,
  TunnelInfo,
  WsTunnelOptions,
} from '@ws-tunnel/core'
import { managerPage } from '@ws-tunnel/manager'
import { startConnect, startCore, startExpress4, startExpress5, startFastify } from '../frameworks.ts'
import { server as certificate } from '../tls.ts'

// A gateway with the settings of the first argument, which takes over from the process before it and hands over to the next one.

/** The frameworks by name. */
export const FRAMEWORKS = {
  'node:http': startCore,
  'Express 5': startExpress5,
  'Express 4': startExpress4,
  Connect: startConnect,
  'Fastify 5': startFastify,
}

export interface ProcessSettings {
  framework: keyof typeof FRAMEWORKS
  /** The socket of the hand-over. */
  handover: string
  options: WsTunnelOptions
  /** Where to listen. @default port 0 of 127.0.0.1 */
  at?: { host?: string; port?: number; path?: string }
  /** Starts a manager at a port of its own. */
  manager?: boolean
  /** Serve HTTPS. */
  tls?: boolean
  /** Ends itself by SIGKILL at the `nth` time that it makes this step. */
  dies?: DiagnosticsMessages['ws-tunnel:handover'] & { nth?: number }
}

/** A tunnel as the process sees it. */
export interface TunnelView
  extends Pick<Tunnel, 'openedAt' | 'bytesFromClient' | 'bytesFromBackend' | 'idle' | 'offloaded' | 'handovers'> {
  info: TunnelInfo
}

export interface MemberView {
  url: string
  status: string
  selected: number
  failures: number
  busy: number
  tunnels: number
  bytesSent: number
}

/** Messages to the parent. */
export type Report =
  | { kind: 'listening'; port: number; managerPort?: number }
  | { kind: 'step'; role: string; step: string }
  | { kind: 'handed over'; report: HandoverReport }
  | { kind: 'closed'; end: Pick<TunnelEnd, 'reason' | 'bytesFromClient' | 'bytesFromBackend' | 'duration'> }
  | { kind: 'view'; tunnels: TunnelView[]; members: MemberView[]; open: number[] }

const send = (report: Report): void => void process.send?.(report)

async function run({ framework, handover, options, at, manager, tls, dies }: ProcessSettings): Promise<void> {
  let steps = 0
  subscribe('ws-tunnel:handover', message => {
    const { role, step } = message as DiagnosticsMessages['ws-tunnel:handover']
    if (role === dies?.role && step === dies.step && ++steps === (dies.nth ?? 1)) process.kill(process.pid, 'SIGKILL')
    send({ kind: 'step', role, step })
  })
  // Node gives one closed tunnel to the subscribers whichever process it was opened in.
  subscribe('ws-tunnel:close', message => {
    const { reason, bytesFromClient, bytesFromBackend, duration } = (message as DiagnosticsMessages['ws-tunnel:close'])
      .end
    send({ kind: 'closed', end: { reason, bytesFromClient, bytesFromBackend, duration } })
  })
  const onHandedOver = (report: HandoverReport): void => {
    send({ kind: 'handed over', report })
    process.disconnect?.()
  }
  const gateway = await FRAMEWORKS[framework](
    '/',
    { drainTimeout: 10_000, ...options },
    {
      handover: { path: handover, onHandedOver },
      at: at?.path === undefined ? { host: '127.0.0.1', port: 0, ...at } : at,
      errorHandler: 'own',
      ...(tls && { tls: certificate }),
      prepare: server => {
        server.on('error', error => {
          console.error(error.message)
          process.exit(1)
        })
      },
    },
  )
  process.on('message', () => {
    const [proxy] = gateway.proxies()
    const members = Array.from(proxy?.balancers.values() ?? [], balancer => balancer.members).flat()
    send({
      kind: 'view',
      tunnels: Array.from(proxy?.tunnels ?? [], viewOf),
      members: members.map(({ url, status, selected, failures, busy, tunnels, bytesSent }) => ({
        url,
        status,
        selected,
        failures,
        busy,
        tunnels: tunnels.size,
        bytesSent,
      })),
      open: proxy?.routes.map(({ open }) => open) ?? [],
    })
  })
  if (!manager) {
    send({ kind: 'listening', port: gateway.port })
    return
  }
  const [proxy] = gateway.proxies()
  const server = createServer(managerPage(proxy as NonNullable<typeof proxy>, { unsafeOpen: true, interval: 100 }))
  server.listen(0, '127.0.0.1', () => {
    server.unref()
    send({ kind: 'listening', port: gateway.port, managerPort: (server.address() as AddressInfo).port })
  })
}

const viewOf = ({
  info,
  openedAt,
  bytesFromClient,
  bytesFromBackend,
  idle,
  offloaded,
  handovers,
}: Tunnel): TunnelView => ({ info, openedAt, bytesFromClient, bytesFromBackend, idle, offloaded, handovers })

if (process.argv[2] !== undefined) await run(JSON.parse(process.argv[2]) as ProcessSettings)
