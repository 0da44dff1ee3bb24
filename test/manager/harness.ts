import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createTunnelProxy, listenForUpgrades, type TunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { wsTunnel } from '@ws-tunnel/express'
import { tunnelProxies, wsTunnelPlugin } from '@ws-tunnel/fastify'
import {
  type BalancerView,
  type Change,
  type ManagedProxy,
  type ManagerOptions,
  managerPage,
  type State,
} from '@ws-tunnel/manager'
import { managerPlugin } from '@ws-tunnel/manager/fastify'
import { type MetricsOptions, type MetricsPage, metricsPage } from '@ws-tunnel/manager/metrics'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import { type Backend, echo, openBackend } from '../support/backend.ts'
import { openTunnel, type RawClient } from '../support/client.ts'

/** A server with tunnels at its root and their manager at `/admin/manager`. */
export interface ManagedServer {
  server: Server
  port: number
  /** The URL of the manager, with the slash at its end. */
  url: string
  origin: string
  proxy: ManagedProxy
  backend: Backend
  /** Closes the manager alone where the framework allows that; otherwise the server. */
  closeManager: () => void | Promise<void>
  tunnel: (path?: string) => Promise<RawClient>
  /** Sends a request to the manager. */
  request: (path: string, request?: RequestInit) => Promise<Response>
  json: <T>(path: string) => Promise<T>
  /** Sends a change with the token and the origin of the page. */
  change: (action: string, body: unknown, headers?: Record<string, string>) => Promise<Response>
}

type StartedServer = Pick<ManagedServer, 'server' | 'proxy' | 'closeManager'> & { stop: () => Promise<void> }

/** Starts a server of one framework. */
export type StartServer = (options: WsTunnelOptions, manager: ManagerOptions) => Promise<StartedServer>

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
  (createApp: () => App): StartServer =>
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

const startNode: StartServer = async (options, managerOptions) => {
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

const startFastify: StartServer = async (options, managerOptions) => {
  const fastify = Fastify()
  await fastify.register(managerPlugin, { ...managerOptions, prefix: MOUNT, proxies: tunnelProxies(fastify) })
  await fastify.register(wsTunnelPlugin, { drainTimeout: 0, ...(options as WsTunnelOptions<object>) })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const [proxy] = tunnelProxies(fastify) as unknown as [ManagedProxy]
  return { server: fastify.server, proxy, closeManager: () => fastify.close(), stop: () => fastify.close() }
}

export const FRAMEWORKS = {
  'Express 5': startApp(() => express5() as unknown as App),
  'Express 5 with parsed bodies': startApp(() => express5().use(express5.json()) as unknown as App),
  'Express 4': startApp(() => express4() as unknown as App),
  Connect: startApp(() => connect() as unknown as App),
  'Fastify 5': startFastify,
  'node:http': startNode,
} satisfies Record<string, StartServer>

/** The name of the one proxy: `tunnelProxies` of Fastify is a list, whose first proxy is `1`. */
export const proxyName = (framework: string): string => (framework.startsWith('Fastify') ? '1' : 'main')

/** What ends with a test, or with the suite. */
export type Cleanup = Pick<TestContext, 'after'>

/** Starts a server whose tunnels go to an echoing backend. Everything ends with the test. */
export async function startManaged(
  t: Cleanup,
  managerOptions: ManagerOptions,
  optionsOf: (backend: string) => WsTunnelOptions = backend => ({ target: `ws://${backend}/` }),
  start: StartServer = FRAMEWORKS['Express 5'],
): Promise<ManagedServer> {
  const backend = await openBackend(echo())
  const started = await start(optionsOf(backend.address), managerOptions)
  const sockets = new Set<Socket>()
  started.server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  t.after(async () => {
    const stopped = started.stop()
    for (const socket of sockets) socket.destroy()
    await stopped
    await backend.close()
  })
  const { port } = started.server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const url = `${origin}${MOUNT}/`
  const request: ManagedServer['request'] = (path, init) =>
    fetch(url + path, { redirect: 'manual', signal: AbortSignal.timeout(5_000), ...init })
  const json = async <T>(path: string): Promise<T> => (await request(path)).json() as Promise<T>
  return {
    ...started,
    port,
    url,
    origin,
    backend,
    request,
    json,
    async change(action, body, headers = {}) {
      const { token } = await json<{ token: string | null }>('api/token')
      return request(`api/${action}`, {
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

/** A managed server, with its metrics on a server of their own. `values` reads one metric, by its labels. */
export async function startMeasured(
  t: TestContext,
  optionsOf: (backend: string) => WsTunnelOptions,
  options: MetricsOptions = { unsafeOpen: true },
): Promise<
  ManagedServer & {
    metrics: MetricsPage
    values: (name: string) => Promise<Record<string, number>>
    metricsUrl: string
  }
> {
  const managed = await startManaged(t, { unsafeOpen: true }, optionsOf)
  const metrics = metricsPage(managed.proxy, options)
  const server = createServer(metrics).listen(0, '127.0.0.1')
  t.after(() => {
    metrics.close()
    server.closeAllConnections()
    server.close()
  })
  await new Promise(resolve => server.once('listening', resolve))
  const metricsUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return {
    ...managed,
    metrics,
    metricsUrl,
    async values(name) {
      const text = await (await fetch(metricsUrl)).text()
      const lines = text.split('\n').filter(line => new RegExp(`^${name}[{ ]`).test(line))
      return Object.fromEntries(
        lines.map(line => {
          const space = line.lastIndexOf(' ')
          return [line.slice(name.length, space), Number(line.slice(space + 1))]
        }),
      )
    },
  }
}

/** The first balancer of the first proxy. */
export async function firstBalancer(managed: ManagedServer): Promise<BalancerView> {
  const [proxy] = (await managed.json<State>('api/state')).proxies
  return proxy?.balancers[0] as BalancerView
}

/** Reads server-sent events. */
export class EventStream {
  readonly #reader: ReadableStreamDefaultReader<string>
  #text = ''

  constructor(response: Response) {
    this.#reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream() as never)
      .getReader() as ReadableStreamDefaultReader<string>
  }

  /** The data of the next event of this name that matches; `undefined` if the stream ends first. */
  async next<T>(name: string, matches: (data: T) => boolean = () => true): Promise<T | undefined> {
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
      const field = (key: string): string | undefined => lines.find(line => line.startsWith(key))?.slice(key.length)
      if (field('event: ') !== name) continue
      const data = JSON.parse(field('data: ') ?? 'null') as T
      if (matches(data)) return data
    }
  }

  cancel(): Promise<void> {
    return this.#reader.cancel()
  }
}

/** The state that a manager at `/manager/` gives. */
export async function stateAt(url: string): Promise<State> {
  return (await (await fetch(`${url}/manager/api/state`, { signal: AbortSignal.timeout(5_000) })).json()) as State
}

/** Sends a change to a manager at `/manager/`, as its page does. */
export async function changeAt(url: string, { action, ...body }: Change): Promise<void> {
  const { token } = (await (await fetch(`${url}/manager/api/token`)).json()) as { token: string }
  const response = await fetch(`${url}/manager/api/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin', 'X-WS-Tunnel-Token': token },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5_000),
  })
  if (!response.ok) throw new Error(`${action}: ${response.status} ${await response.text()}`)
}
