import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createTunnelProxy, listenForUpgrades, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { wsTunnel } from '@ws-tunnel/express'
import { tunnelProxies, wsTunnelPlugin } from '@ws-tunnel/fastify'
import { type ManagedProxy, type ManagerOptions, managerPage, type State } from '@ws-tunnel/manager'
import { managerPlugin } from '@ws-tunnel/manager/fastify'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import { type Backend, echo, openBackend } from '../support/backend.ts'
import { openTunnel, type RawClient } from '../support/client.ts'

/** A server with tunnels at its root and their manager at `/admin/manager`. */
export interface Managed {
  server: Server
  port: number
  /** Of the manager, with the slash. */
  url: string
  origin: string
  proxy: ManagedProxy
  backend: Backend
  /** Closes the manager alone, or what holds it. */
  closeManager: () => void | Promise<void>
  tunnel: (path?: string) => Promise<RawClient>
  /** Asks the manager; a token and the origin of the page come along where the method is POST. */
  ask: (path: string, request?: RequestInit) => Promise<Response>
  json: <T>(path: string) => Promise<T>
  change: (action: string, body: unknown, headers?: Record<string, string>) => Promise<Response>
}

type Parts = Pick<Managed, 'server' | 'proxy' | 'closeManager'> & { stop: () => Promise<void> }

type Start = (options: WsTunnelOptions, manager: ManagerOptions) => Promise<Parts>

const MOUNT = '/admin/manager'

interface App {
  (...args: never[]): void
  use: (...args: unknown[]) => unknown
}

async function listening(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}

const startApp =
  (createApp: () => App): Start =>
  async (options, managerOptions) => {
    const app = createApp()
    const tunnel = wsTunnel(options)
    const manager = managerPage(tunnel, managerOptions)
    app.use(MOUNT, manager)
    app.use(tunnel)
    app.use((_error: unknown, _req: unknown, res: ServerResponse, _next: unknown) => res.writeHead(500).end('failed'))
    const server = createServer(app as never)
    listenForUpgrades(server, app as never)
    await listening(server)
    const stop = async (): Promise<void> => {
      manager.close()
      await tunnel.close({ drainTimeout: 0 })
      server.close()
    }
    return { server, proxy: tunnel, closeManager: manager.close, stop }
  }

const startNode: Start = async (options, managerOptions) => {
  const proxy: TunnelProxy = createTunnelProxy(options)
  const manager = managerPage(proxy, { ...managerOptions, path: MOUNT })
  const server = createServer((req, res) =>
    manager(req, res, () => {
      proxy.handle(req, res).catch(() => res.writeHead(500).end())
    }),
  )
  listenForUpgrades(server, (req, res) => void proxy.handle(req, res).catch(() => res.writeHead(500).end()))
  await listening(server)
  const stop = async (): Promise<void> => {
    manager.close()
    await proxy.close({ drainTimeout: 0 })
    server.close()
  }
  return { server, proxy, closeManager: manager.close, stop }
}

const startFastify: Start = async (options, managerOptions) => {
  const fastify = Fastify()
  await fastify.register(managerPlugin, { ...managerOptions, prefix: MOUNT, proxies: tunnelProxies(fastify) })
  await fastify.register(wsTunnelPlugin, { drainTimeout: 0, ...options })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const [proxy] = tunnelProxies(fastify) as unknown as [ManagedProxy]
  return { server: fastify.server, proxy, closeManager: () => fastify.close(), stop: () => fastify.close() }
}

export const starts: Record<string, Start> = {
  'Express 5': startApp(() => express5() as unknown as App),
  'Express 5 with parsed bodies': startApp(() => express5().use(express5.json()) as unknown as App),
  'Express 4': startApp(() => express4() as unknown as App),
  Connect: startApp(() => connect() as unknown as App),
  'Fastify 5': startFastify,
  'node:http': startNode,
}

/** Starts a server whose tunnels go to an echoing backend; everything ends with the test. */
export async function manage(
  t: Pick<TestContext, 'after'>,
  start: Start,
  managerOptions: ManagerOptions,
  optionsOf: (backend: string) => WsTunnelOptions = backend => ({ target: `ws://${backend}/` }),
): Promise<Managed> {
  const backend = await openBackend(echo())
  const parts = await start(optionsOf(backend.address), managerOptions)
  const sockets = new Set<Socket>()
  parts.server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  t.after(async () => {
    const stopped = parts.stop()
    for (const socket of sockets) socket.destroy()
    await stopped
    await backend.close()
  })
  const { port } = parts.server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const url = `${origin}${MOUNT}/`
  const ask: Managed['ask'] = (path, request) =>
    fetch(url + path, { redirect: 'manual', signal: AbortSignal.timeout(5_000), ...request })
  const json = async <T>(path: string): Promise<T> => (await ask(path)).json() as Promise<T>
  return {
    ...parts,
    port,
    url,
    origin,
    backend,
    ask,
    json,
    async change(action, body, headers = {}) {
      const { token } = await json<{ token: string | null }>('api/token')
      return ask(`api/${action}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Origin: origin, 'X-WS-Tunnel-Token': String(token), ...headers },
        body: JSON.stringify(body),
      })
    },
    tunnel: async (path = '/') => {
      const { client } = await openTunnel(port, path)
      t.after(() => client.destroy())
      return client
    },
  }
}

/** One event of a stream. */
export interface HeardEvent {
  name: string
  data: unknown
}

/** Reads server-sent events. */
export class Stream {
  readonly #reader: ReadableStreamDefaultReader<string>
  #text = ''

  constructor(response: Response) {
    this.#reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream() as never)
      .getReader() as ReadableStreamDefaultReader<string>
  }

  /** The next event of this name that fits; `undefined` where the stream ends before. */
  async next<T>(name: string, fits: (data: T) => boolean = () => true): Promise<T | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end === -1) {
        const { done, value } = await this.#reader.read()
        if (done) return undefined
        this.#text += value
        continue
      }
      const lines = this.#text.slice(0, end).split('\n')
      this.#text = this.#text.slice(end + 2)
      const found = lines.find(line => line.startsWith('event: '))?.slice('event: '.length)
      if (found !== name) continue
      const data = JSON.parse(lines.find(line => line.startsWith('data: '))?.slice('data: '.length) ?? 'null') as T
      if (fits(data)) return data
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel()
  }
}

/** The state that a manager at `/manager/` tells. */
export async function stateAt(url: string): Promise<State> {
  return (await (await fetch(`${url}/manager/api/state`, { signal: AbortSignal.timeout(5_000) })).json()) as State
}

/** Changes something at a manager at `/manager/`, as its page does. */
export async function changeAt(url: string, action: string, body: object): Promise<void> {
  const { token } = (await (await fetch(`${url}/manager/api/token`)).json()) as { token: string }
  const { action: _, ...sent } = body as { action?: string }
  const answer = await fetch(`${url}/manager/api/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin', 'X-WS-Tunnel-Token': token },
    body: JSON.stringify(sent),
    signal: AbortSignal.timeout(5_000),
  })
  if (!answer.ok) throw new Error(`${action}: ${answer.status} ${await answer.text()}`)
}
