import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { TlsOptions } from 'node:tls'
import {
  createTunnelProxy,
  listenForUpgrades,
  type Tunnel,
  type TunnelEnd,
  type TunnelProxy,
  type WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { eventually } from '../support/gate.ts'
import { async } from '../support/pump.ts'

export interface GatewayOptions {
  /** Serve HTTPS. */
  tls?: TlsOptions
  /** Listen at this unix socket. */
  path?: string
  /** Call `listenForUpgrades`, as a user should; without it the first request does. @default true */
  listen?: boolean
}

export interface Gateway {
  server: Server
  proxy: TunnelProxy
  /** 0 at a unix socket. */
  port: number
  /** Every tunnel that opened, in order. */
  opened: Tunnel[]
  /** Every call of `onClose`. */
  ends: { tunnel: Tunnel; end: TunnelEnd }[]
  /** Every failure that `handle` was rejected with. */
  errors: unknown[]
  /** The `n`th end, when it has come. */
  end: (n?: number) => Promise<TunnelEnd>
}

/** The smallest app there is: what no route takes is 404, a failure its status and `{ code }`. */
export function appOf(proxy: TunnelProxy, errors: unknown[] = []): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    proxy.handle(req, res).then(
      taken => {
        if (!taken) res.writeHead(404).end(`own 404: ${req.method} ${req.url}`)
      },
      (error: WsTunnelError) => {
        errors.push(error)
        res.statusCode = error.statusCode ?? 500
        res.end(JSON.stringify({ code: error.code ?? String(error) }))
      },
    )
  }
}

export async function listening(server: Server, path?: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path }, resolve)
  })
  return path === undefined ? (server.address() as AddressInfo).port : 0
}

/** Ends a server and all its sockets, tunnels included, after the test. */
export function closeAfter(t: TestContext, server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) await new Promise(resolve => server.close(resolve))
  })
}

/** The core on a plain node:http server, without any framework. */
export async function startGateway(
  t: TestContext,
  options: WsTunnelOptions,
  { tls, path, listen = true }: GatewayOptions = {},
): Promise<Gateway> {
  const opened: Tunnel[] = []
  const ends: Gateway['ends'] = []
  const errors: unknown[] = []
  const proxy = createTunnelProxy({
    drainTimeout: 0,
    async,
    ...options,
    onOpen: message => {
      opened.push(message.tunnel)
      options.onOpen?.(message)
    },
    onClose: message => {
      ends.push({ tunnel: message.tunnel, end: message.end })
      options.onClose?.(message)
    },
  })
  const app = appOf(proxy, errors)
  const server = tls === undefined ? createServer(app) : createTlsServer(tls, app)
  t.after(() => proxy.close({ drainTimeout: 0 }))
  closeAfter(t, server)
  if (listen) listenForUpgrades(server, app)
  const port = await listening(server, path)
  const end: Gateway['end'] = (n = 0) =>
    eventually(() => {
      const found = ends[n]
      assert.ok(found, `tunnel ${n} has not ended`)
      return found.end
    })
  return { server, proxy, port, opened, ends, errors, end }
}
