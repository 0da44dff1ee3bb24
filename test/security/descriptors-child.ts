import { closeSync, openSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createTunnelProxy, listenForUpgrades, type WsTunnelError, type WsTunnelOptions } from '@ws-tunnel/core'
import { server as certificate } from '../support/tls.ts'

/** What the test sends. */
export type Command =
  | { start: WsTunnelOptions; maxConnections?: number; tls?: boolean }
  | { fill: number }
  | 'free'
  | 'state'

/** What the gateway sends. */
export type Report =
  | { port: number }
  | { filled: number }
  | 'freed'
  | { state: { status: string; failures: number; health: boolean | undefined }[]; codes: string[]; tunnels: number }
  | { fault: string }

const send = (report: Report): void => void process.send?.(report)
const codes: string[] = []
const held: number[] = []

function start(options: WsTunnelOptions, maxConnections: number | undefined, tls: boolean): void {
  const proxy = createTunnelProxy({ ...options, onError: ({ error }) => void codes.push(error.code) })
  const handler = (req: IncomingMessage, res: ServerResponse): void => {
    proxy.handle(req, res).then(
      handled => {
        if (!handled) res.writeHead(404).end()
      },
      (error: WsTunnelError) => {
        if (res.headersSent) res.destroy()
        else res.writeHead(error.statusCode ?? 500).end(error.code)
      },
    )
  }
  const server = tls ? createTlsServer(certificate, handler) : createServer(handler)
  listenForUpgrades(server, handler, maxConnections === undefined ? {} : { maxConnections })
  server.listen(0, '127.0.0.1', () => send({ port: (server.address() as AddressInfo).port }))
  process.on('message', (command: Command) => {
    if (command === 'state') {
      const members = [...proxy.balancers.values()].flatMap(balancer => balancer.members)
      const state = members.map(({ status, failures, health }) => ({ status, failures, health: health?.ok }))
      send({ state, codes: codes.splice(0), tunnels: proxy.tunnels.size })
    }
  })
}

/** Takes all descriptors but some. */
function fill(free: number): void {
  try {
    for (;;) held.push(openSync('/dev/null', 'r'))
  } catch {
    for (const fd of held.splice(held.length - free)) closeSync(fd)
  }
  send({ filled: held.length })
}

process.on('message', (command: Command) => {
  if (command === 'free') {
    for (const fd of held.splice(0)) closeSync(fd)
    send('freed')
  } else if (typeof command === 'object' && 'fill' in command) fill(command.fill)
  else if (typeof command === 'object') start(command.start, command.maxConnections, command.tls ?? false)
})
process.on('disconnect', () => process.exit())
process.on('uncaughtException', error => send({ fault: String(error.stack) }))
process.on('unhandledRejection', error => send({ fault: String((error as Error)?.stack) }))
