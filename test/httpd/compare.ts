import { once } from 'node:events'
import { createServer as createHttpServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from 'node:net'
import { createTunnelProxy, listenForUpgrades, WsTunnelError, type WsTunnelOptions } from '@ws-tunnel/core'
import { withEngine } from '../support/engine.ts'

/** One request, and the configuration that serves it. */
export interface Row {
  readonly id: string
  readonly conf: string
  /** The bytes of the request, one character per byte. `{host}` is the name of the virtual host. */
  readonly request: string
  /** The response of the backend. */
  readonly respond: Respond
}

/** The response of a backend to a request head. `echo` keeps the connection open and sends back what arrives. */
export type Respond = (head: string) => { bytes: string; echo?: boolean; close?: boolean }

/** The result of a request. */
export interface Outcome {
  /** The request that a backend got: `60 GET /b HTTP/1.1` with sorted fields. `undefined` if it reached no backend. */
  readonly seen: { readonly line: string; readonly fields: readonly string[]; readonly body: string } | undefined
  readonly status: string
  /** The sorted fields that the client got. Of a response without a backend, only `Location`. */
  readonly fields: readonly string[]
  readonly body: string
}

/** Fields that are not compared: those of the connection, the framing of a body (the body itself is compared), and the date. */
const OWN_REQUEST = /^(?:connection|keep-alive|date|content-length|transfer-encoding):/i
const OWN_RESPONSE = /^(?:connection|keep-alive|date|server|transfer-encoding|content-length):/i

/** Fields of a response without a backend that are compared. */
const OWN_FIELDS = /^(?:location|www-authenticate|set-cookie|x-[\w-]+):/i
const NONE = /(?!)/

/** Sorts the fields, with names in lower case, and joins the lines of one name: their order and number have no meaning. */
function normalise(lines: readonly string[], drop: RegExp): string[] {
  const fields = new Map<string, string[]>()
  for (const line of lines) {
    if (drop.test(line)) continue
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    fields.set(name, [...(fields.get(name) ?? []), line.slice(colon + 1).trim()])
  }
  return Array.from(fields, ([name, values]) => `${name}: ${values.join(', ')}`).toSorted()
}

interface ReceivedRequest {
  readonly port: string
  readonly head: string
  body: string
}

/** Backends on two ports, named 60 and 61. They keep the requests that they get. */
export class Backends {
  readonly #servers: NetServer[] = []
  readonly #sockets = new Set<Socket>()
  respond: Respond = () => ({ bytes: '' })
  requests: ReceivedRequest[] = []
  /** Called for each request that a backend gets. */
  onRequest = (): void => {}
  readonly ports = new Map<string, number>()

  async listen(): Promise<this> {
    for (const name of ['60', '61']) {
      const server = createServer({ allowHalfOpen: true }, socket => this.#serve(socket, name))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      this.ports.set(name, (server.address() as AddressInfo).port)
      this.#servers.push(server)
    }
    return this
  }

  #serve(socket: Socket, port: string): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    let pending = ''
    let echoing = false
    socket.setEncoding('latin1').on('data', chunk => {
      pending += chunk
      if (echoing) {
        socket.write(`E:${pending}`, 'latin1')
        pending = ''
        return
      }
      const end = pending.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = pending.slice(0, end)
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
      const chunked = /\r\ntransfer-encoding: *chunked/i.test(head)
      const rest = pending.slice(end + 4)
      if (chunked ? !rest.includes('0\r\n\r\n') : rest.length < length) return
      const body = chunked
        ? rest.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/gi, '$1').replace(/\r\n$/, '')
        : rest.slice(0, length)
      pending = ''
      this.requests.push({ port, head, body })
      this.onRequest()
      const { bytes, echo = false, close = false } = this.respond(head)
      echoing = echo
      socket.write(bytes, 'latin1')
      if (close) socket.end()
    })
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    for (const server of this.#servers) server.close()
  }
}

/** Sends one request and waits for the response. After a 101 it also sends a word and waits for its echo. */
export async function send(backends: Backends, port: number, row: Row, host: string): Promise<Outcome> {
  backends.requests = []
  backends.respond = row.respond
  const socket = connect(port, '127.0.0.1')
  // For HTTP/1.0 httpd opens a tunnel and sends no 101. Only an echoed word shows that there is a tunnel.
  backends.onRequest = () => {
    if (/ HTTP\/1\.0\r\n/.test(row.request)) socket.write('PING')
  }
  const received = await roundTrip(socket, row.request.replaceAll('{host}', host))
  const request = backends.requests.at(-1)
  const end = received.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = received.slice(0, Math.max(end, 0)).split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? 'nothing'
  const body = received.slice(end + 4)
  const [requestLine = '', ...fields] = request?.head.split('\r\n') ?? []
  const names = (text: string): string =>
    [...backends.ports].reduce(
      (all, [name, each]) =>
        all
          .replaceAll(`127.0.0.1:${each}`, `127.0.0.1:210${name}`)
          .replaceAll(`localhost:${each}`, `localhost:210${name}`),
      text,
    )
  return {
    seen: request && {
      line: `${request.port} ${requestLine}`,
      fields: normalise(
        fields.map(names),
        /\r\nupgrade:/i.test(request.head) ? /^(?:date|content-length|transfer-encoding):/i : OWN_REQUEST,
      ),
      body: request.body,
    },
    status,
    // The page of a proxy's own response is not compared. Its status is.
    fields:
      request === undefined
        ? normalise(lines.filter(line => OWN_FIELDS.test(line)).map(names), NONE)
        : Number(status) >= 500
          ? []
          : normalise(lines.map(names), OWN_RESPONSE),
    body: request === undefined || Number(status) >= 500 ? '' : unchunk(body),
  }
}

const unchunk = (body: string): string =>
  /^[0-9a-f]+\r\n/.test(body) ? body.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/gi, '$1').replace(/\r\n$/, '') : body

function roundTrip(socket: Socket, request: string): Promise<string> {
  return new Promise(resolve => {
    let received = ''
    const done = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(received)
    }
    const timer = setTimeout(done, 3_000)
    let pingSent = false
    socket.setEncoding('latin1')
    socket.on('data', chunk => {
      received += chunk
      if (received.endsWith('E:PING')) done()
      const final = received.replace(/^(?:HTTP\/1\.1 10[023].*?\r\n\r\n)+/s, '')
      const end = final.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = final.slice(0, end)
      const body = final.slice(end + 4)
      if (/^HTTP\/1\.1 101 /.test(final)) {
        if (!pingSent) socket.write('PING')
        pingSent = true
        if (body.endsWith('E:PING')) done()
        return
      }
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
      const whole = request.startsWith('HEAD ')
        ? true
        : length === undefined
          ? /\r\ntransfer-encoding: *chunked/i.test(head) && body.endsWith('0\r\n\r\n')
          : body.length >= Number(length)
      if (whole) {
        received = final
        done()
      }
    })
    socket.on('end', done)
    socket.on('error', done)
    socket.on('connect', () => socket.write(request, 'latin1'))
  })
}

/** Starts a gateway of ours with a compiled configuration. A request that no route takes gets 404, as in httpd where there is no file. */
export async function startOurs(options: WsTunnelOptions): Promise<{ port: number; close: () => Promise<void> }> {
  const proxy = createTunnelProxy(withEngine(options))
  const server: Server = createHttpServer((req, res) => {
    proxy.handle(req, res).then(
      taken => {
        if (!taken) res.writeHead(404).end()
      },
      (error: unknown) => {
        res.statusCode = error instanceof WsTunnelError ? error.statusCode : 500
        if (res.headersSent) res.destroy()
        else res.end()
      },
    )
  })
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  listenForUpgrades(server, server.listeners('request')[0] as never, { originForm: false })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      await proxy.close({ drainTimeout: 0 })
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
