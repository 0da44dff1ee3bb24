import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import {
  createTunnelProxy,
  createHttp2Server as createWithCore,
  type Tunnel,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import { createHttp2Server, wsTunnel } from '@ws-tunnel/express'
import { wsTunnelPlugin } from '@ws-tunnel/fastify'
import createConnect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import type { Middleware } from '../support/frameworks.ts'
import { within } from '../support/gate.ts'
import { ca, server as certificate } from '../support/tls.ts'

/** A server for HTTP/2 with a tunnel at `/live`. */
export interface Http2Gateway {
  readonly port: number
  readonly server: { on(event: string, listener: (...args: never[]) => void): unknown }
  readonly tunnels: ReadonlySet<Tunnel>
  readonly closeProxy: (options?: { drainTimeout?: number }) => Promise<void>
}

export interface Http2Options {
  /** Middleware before the tunnel. */
  before?: Middleware[]
  settings?: object
}

type StartHttp2 = (t: TestContext, options: WsTunnelOptions, more?: Http2Options) => Promise<Http2Gateway>

const listening = async (t: TestContext, server: ReturnType<typeof createHttp2Server>): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

const serverOptions = ({ settings }: Http2Options): object => ({
  ...certificate,
  settings: { enableConnectProtocol: true, ...settings },
})

const startApp =
  (create: () => unknown): StartHttp2 =>
  async (t, options, more = {}) => {
    const tunnel = wsTunnel({ drainTimeout: 0, ...options })
    t.after(() => tunnel.close())
    const app = create() as ReturnType<typeof createConnect>
    for (const middleware of more.before ?? []) app.use(middleware as never)
    app.use('/live', tunnel as never)
    app.use('/own', ((_req, res) => res.end('own')) satisfies Middleware as never)
    app.use(((error: { statusCode?: number; code: string }, _req: unknown, res: never, _next: unknown) => {
      const response = res as import('node:http').ServerResponse
      response.statusCode = error.statusCode ?? 500
      response.end(error.code)
    }) as never)
    const server = createHttp2Server(serverOptions(more), app as never)
    return { port: await listening(t, server), server, tunnels: tunnel.tunnels, closeProxy: tunnel.close }
  }

const startCore: StartHttp2 = async (t, options, more = {}) => {
  const proxy = createTunnelProxy({ drainTimeout: 0, ...options })
  t.after(() => proxy.close())
  const server = createWithCore(serverOptions(more), (req, res) => {
    const steps = [...(more.before ?? [])]
    const next = (): void => {
      const step = steps.shift()
      if (step !== undefined) step(req, res, next)
      else if (req.url === '/own') res.end('own')
      else if (!/^\/live(?:[/?]|$)/.test(req.url ?? '')) res.writeHead(404).end('none')
      else {
        const url = req.url?.slice('/live'.length)
        proxy.handle(req, res, { mount: '/live', ...(url !== undefined && { url }) }).catch(error => {
          res.statusCode = error.statusCode
          res.end(error.code)
        })
      }
    }
    next()
  })
  return { port: await listening(t, server), server, tunnels: proxy.tunnels, closeProxy: proxy.close }
}

const startFastify: StartHttp2 = async (t, options, more = {}) => {
  const app = fastify({
    http2: true,
    https: { allowHTTP1: true, ...serverOptions(more) } as never,
    http2SessionTimeout: 2_000,
  })
  // On Node 22 a server does not close the sessions that are idle, and Fastify waits for them.
  const sessions = new Set<ServerHttp2Session>()
  app.server.on('session', (session: ServerHttp2Session) => sessions.add(session))
  t.after(() => {
    for (const session of sessions) session.destroy()
    return app.close()
  })
  const open = new Set<Tunnel>()
  for (const middleware of more.before ?? [])
    app.addHook('onRequest', (request, reply, done) =>
      middleware(request.raw as never, reply.raw as never, error => done(error as Error)),
    )
  app.get('/own', (_request, reply) => reply.send('own'))
  app.setErrorHandler((error: { statusCode?: number; code?: string }, _request, reply) =>
    reply.code(error.statusCode ?? 500).send(error.code),
  )
  app.register(wsTunnelPlugin, {
    prefix: '/live',
    drainTimeout: 0,
    ...options,
    onOpen: ({ tunnel }: { tunnel: Tunnel }) => void open.add(tunnel),
    onClose: ({ tunnel }: { tunnel: Tunnel }) => void open.delete(tunnel),
  } as never)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { port, server: app.server, tunnels: open, closeProxy: () => app.close() }
}

export const GATEWAYS: readonly (readonly [name: string, start: StartHttp2])[] = [
  ['Express 5', startApp(express5)],
  ['Express 4', startApp(express4)],
  ['Connect', startApp(createConnect)],
  ['Fastify 5', startFastify],
  ['node:http2', startCore],
]

/** A session with a gateway, whose settings have arrived. */
export async function openSession(t: TestContext, port: number, options: object = {}): Promise<ClientHttp2Session> {
  const session = connect(`https://localhost:${port}`, { ca, ...options })
  t.after(() => session.destroy())
  session.on('error', () => {})
  await within(5_000, 'the settings', once(session, 'remoteSettings'))
  return session
}

/** A stream with the head of its response, and what it reads. */
export class Stream {
  readonly stream: ClientHttp2Stream
  readonly #chunks: Buffer[] = []
  #length = 0
  #wake: () => void = () => {}
  isEnded = false
  isClosed = false

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#wake()
    })
    stream.on('end', () => {
      this.isEnded = true
      this.#wake()
    })
    stream.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
  }

  /** The head of the response. */
  async head(): Promise<IncomingHttpHeaders & { ':status': number }> {
    const [headers] = await within(5_000, 'the response', once(this.stream, 'response'))
    return headers as IncomingHttpHeaders & { ':status': number }
  }

  async #until(what: string, done: () => boolean): Promise<void> {
    const waiting = async (): Promise<void> => {
      while (!done()) {
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
      }
    }
    await within(10_000, what, waiting())
  }

  /** The next `size` bytes. */
  async readExact(size: number): Promise<Buffer> {
    await this.#until(`${size} bytes`, () => this.#length >= size || this.isClosed)
    const all = Buffer.concat(this.#chunks)
    this.#chunks.splice(0, Number.POSITIVE_INFINITY, all.subarray(size))
    this.#length = all.length - size
    return all.subarray(0, size)
  }

  /** All bytes until END_STREAM or a reset. */
  async readAll(): Promise<Buffer> {
    await this.#until('the end of the stream', () => this.isEnded || this.isClosed)
    return Buffer.concat(this.#chunks.splice(0))
  }

  async closed(): Promise<number> {
    await this.#until('the close of the stream', () => this.isClosed)
    return this.stream.rstCode ?? 0
  }
}

/** Sends an extended CONNECT. */
export const connectStream = (session: ClientHttp2Session, path: string, more: object = {}): Stream =>
  new Stream(
    session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'https',
        ':path': path,
        ':authority': 'front.example',
        'sec-websocket-version': '13',
        ...more,
      },
      { endStream: false },
    ),
  )

/** Sends a request, with a body if there is one. */
export function requestStream(session: ClientHttp2Session, headers: object, body?: string | Buffer): Stream {
  const stream = session.request({ ':path': '/live/', ...headers }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return new Stream(stream)
}
