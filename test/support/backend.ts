import { createHash } from 'node:crypto'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { eventually } from './gate.ts'
import { type Head, Reader } from './reader.ts'

/** The head of a request as it arrived. */
export interface BackendRequest extends Head {
  method: string
  path: string
  httpVersion: string
}

/** One accepted connection, to read from and to write to. */
export class BackendConnection extends Reader {
  /** Requests read on this connection. */
  readonly requests: BackendRequest[] = []
  readonly closed: Promise<void>
  #seen: BackendRequest[]

  constructor(socket: Socket, seen: BackendRequest[]) {
    super(socket)
    this.#seen = seen
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
  }

  /** The head of the next request, without a time limit, because a kept connection may stay idle. */
  async request(): Promise<BackendRequest> {
    const head = await this.readHead(0)
    const [method = '', path = '', version = ''] = head.startLine.split(' ')
    const request = { ...head, method, path, httpVersion: version.replace('HTTP/', '') }
    this.requests.push(request)
    this.#seen.push(request)
    return request
  }

  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) =>
      this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, error =>
        error ? reject(error) : resolve(),
      ),
    )
  }

  end(data: string | Uint8Array = ''): void {
    this.socket.end(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
  }

  /** Ends with RST. */
  reset(): void {
    // After its own FIN, a reset leaves a handle in Node that never closes, and a process that never exits.
    if (this.socket.writableEnded) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }
}

/** What a backend does with each connection. */
export type Script = (connection: BackendConnection, backend: Backend) => void | Promise<void>

export interface BackendOptions {
  /** Speak TLS, with `cert` and `key` at least. */
  tls?: TlsOptions
  /** Listen at this unix socket. */
  path?: string
  host?: string
  /** @default any */
  port?: number
}

export interface Backend {
  server: Server
  /** 0 at a unix socket. */
  port: number
  /** `127.0.0.1:<port>`, or the socket path. */
  address: string
  /** A target with this backend and the path `/`. */
  url: string
  /** Every request read, in order, over all connections. */
  seen: BackendRequest[]
  /** Every connection accepted, in order. */
  connections: BackendConnection[]
  /** Connections whose socket is not closed. */
  readonly open: number
  /** The errors that scripts threw while their socket was open. */
  errors: unknown[]
  /** The `n`th request, once it has arrived; 0 is the first. */
  request: (n?: number) => Promise<BackendRequest>
  /** The `n`th connection, once it is accepted; 0 is the first. */
  connection: (n?: number) => Promise<BackendConnection>
  /** Replaces the script for later connections. */
  play: (script: Script) => void
  close: () => Promise<void>
}

/** A backend over raw sockets that runs `script` on each connection, until `close`. */
export async function openBackend(
  script: Script,
  { tls, path, host, port: wanted = 0 }: BackendOptions = {},
): Promise<Backend> {
  let current = script
  const sockets = new Set<Socket>()
  const accept = (socket: Socket): void => {
    const connection = new BackendConnection(socket, backend.seen)
    backend.connections.push(connection)
    void (async () => {
      try {
        await current(connection, backend)
      } catch (error) {
        if (!socket.destroyed && !connection.ended) backend.errors.push(error)
      }
    })()
  }
  const server =
    tls === undefined
      ? createTcpServer({ allowHalfOpen: true, noDelay: true }, accept)
      : createTlsServer({ ...tls, allowHalfOpen: true, noDelay: true }, accept)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (path === undefined) server.listen(wanted, host ?? '127.0.0.1', resolve)
    else server.listen(path, resolve)
  })
  const port = path === undefined ? (server.address() as AddressInfo).port : 0
  const nth = <T>(list: T[], n: number, what: string): Promise<T> =>
    eventually(() => {
      const item = list[n]
      if (item === undefined) throw new Error(`${what} ${n} has not arrived; ${list.length} have`)
      return item
    })
  const backend: Backend = {
    server,
    port,
    address: path ?? `127.0.0.1:${port}`,
    url:
      path !== undefined
        ? `unix:${path}|ws://unix/`
        : tls !== undefined
          ? `wss://localhost:${port}/`
          : `ws://127.0.0.1:${port}/`,
    seen: [],
    connections: [],
    get open() {
      return sockets.size
    },
    errors: [],
    request: (n = 0) => nth(backend.seen, n, 'request'),
    connection: (n = 0) => nth(backend.connections, n, 'connection'),
    play: next => {
      current = next
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  return backend
}

/** The Sec-WebSocket-Accept of a key (RFC 6455 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

export interface SwitchOptions {
  /** The token of the 101. `null` sends no Upgrade. @default the token of the request */
  token?: string | null
  reason?: string
  /** Further header lines, `Name: value`. */
  headers?: string[]
  /** Bytes in the same packet as the 101. */
  early?: string | Uint8Array
  /** Runs after the 101. */
  after?: Script
}

/** The head of a 101 that fits the request. */
export function switchingHead(request: BackendRequest, { token, reason, headers = [] }: SwitchOptions = {}): string {
  const key = request.header('sec-websocket-key')
  const named = token === undefined ? request.header('upgrade') : token
  const lines = [
    `HTTP/1.1 101 ${reason ?? 'Switching Protocols'}`,
    ...(named === null || named === undefined ? [] : [`Upgrade: ${named}`]),
    'Connection: Upgrade',
    ...(key === undefined ? [] : [`Sec-WebSocket-Accept: ${acceptOf(key)}`]),
    ...headers,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** Reads one request, sends a 101, then runs `after`. */
export const switching =
  (options: SwitchOptions = {}): Script =>
  async (connection, backend) => {
    const head = Buffer.from(switchingHead(await connection.request(), options), 'latin1')
    await connection.write(Buffer.concat([head, Buffer.from(options.early ?? '')]))
    await options.after?.(connection, backend)
  }

/** Sends every byte back in order, and FIN after the peer's FIN. */
export const echoing: Script = connection => {
  const socket = connection.release()
  socket.pipe(socket)
}

/** Sends a 101, then sends every byte back. */
export const echo = (options: SwitchOptions = {}): Script => switching({ ...options, after: echoing })

/** Sends a 101, then keeps what arrives, which can be read from `backend.connections`. */
export const record = (options: SwitchOptions = {}): Script => switching({ ...options, after: () => {} })

/** Reads the request and never responds. */
export const silent = (): Script => async connection => {
  await connection.request()
}

/** Reads the request, writes this text as it is, and ends with FIN, with RST, or not at all. */
export const raw =
  (text: string, then: 'end' | 'reset' | 'keep' = 'end'): Script =>
  async connection => {
    await connection.request()
    if (text !== '') await connection.write(text)
    if (then === 'end') connection.end()
    else if (then === 'reset') connection.reset()
  }

export interface RespondingOptions {
  statusCode?: number
  reason?: string
  /** Header lines, `Name: value`; Content-Length is added unless they frame the body. */
  headers?: string[]
  body?: string | ((request: BackendRequest, body: Buffer) => string)
}

/** A plain HTTP server: responds to each request of the connection after it has read the body. */
export const responding =
  ({ statusCode = 200, reason = 'Fine', headers = [], body = 'from the backend' }: RespondingOptions = {}): Script =>
  async connection => {
    while (!connection.ended) {
      const request = await connection.request()
      const sent = await connection.readBody(request, false)
      const text = Buffer.from(typeof body === 'string' ? body : body(request, sent))
      const framed = headers.some(line => /^(content-length|transfer-encoding):/i.test(line))
      const lines = [`HTTP/1.1 ${statusCode} ${reason}`, ...headers]
      if (!framed) lines.push(`Content-Length: ${text.length}`)
      const payload = request.method === 'HEAD' ? Buffer.alloc(0) : text
      await connection.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), payload]))
      if (/\bclose\b/i.test(lines.join('\n').match(/^connection:.*$/im)?.[0] ?? '')) return connection.end()
    }
  }
