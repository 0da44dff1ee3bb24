import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { type Head, type RawHeaders, Reader } from './reader.ts'

/** The head of a response as it arrived. */
export interface ResponseHead extends Head {
  statusCode: number
  reason: string
}

/** A raw client: it sends exactly what a test writes, and reads exactly what arrives. */
export class RawClient extends Reader {
  /** Resolves when the socket is closed on both sides; `true` after an error. */
  readonly closed: Promise<boolean>

  constructor(socket: Socket) {
    super(socket)
    this.closed = new Promise(resolve => socket.once('close', hadError => resolve(hadError)))
  }

  /** Writes text as latin1, or bytes. */
  send(data: string | Uint8Array): this {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
    return this
  }

  /** The head of the next response, interim ones included. */
  async responseHead(): Promise<ResponseHead> {
    const head = await this.readHead()
    const [, statusCode = '', ...reason] = head.startLine.split(' ')
    if (!/^HTTP\/1\.[01] \d{3}( |$)/.test(head.startLine)) throw new Error(`no status line: ${head.startLine}`)
    return { ...head, statusCode: Number(statusCode), reason: reason.join(' ') }
  }

  /** The body of a response by its framing: length, chunks, or until FIN. */
  async body(head: ResponseHead, method = 'GET'): Promise<Buffer> {
    const { statusCode } = head
    if (method === 'HEAD' || statusCode < 200 || statusCode === 204 || statusCode === 304) return Buffer.alloc(0)
    return this.readBody(head, true)
  }

  /** The next response with its body as text. */
  async whole(method = 'GET'): Promise<ResponseHead & { body: string }> {
    const head = await this.responseHead()
    return { ...head, body: (await this.body(head, method)).toString('utf8') }
  }

  /** Sends last bytes, then FIN. */
  end(data: string | Uint8Array = ''): void {
    this.socket.end(typeof data === 'string' ? Buffer.from(data, 'latin1') : data)
  }

  /** Ends with RST. */
  reset(): void {
    // After its own FIN, a reset leaves a handle in Node that never closes, and a process that never exits.
    if (this.socket.writableEnded) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export interface ConnectOptions {
  tls?: ConnectionOptions
  /** A unix socket instead of a port. */
  path?: string
  host?: string
  allowHalfOpen?: boolean
}

/** Connects to a port of 127.0.0.1, or a unix socket, over TCP or TLS. */
export async function connect(
  port: number,
  { tls, path, host = '127.0.0.1', allowHalfOpen = true }: ConnectOptions = {},
): Promise<RawClient> {
  const where = path === undefined ? { port, host, allowHalfOpen } : { path, allowHalfOpen }
  const socket = tls === undefined ? connectTcp(where) : connectTls({ ...tls, ...where } as ConnectionOptions)
  const client = new RawClient(socket)
  await new Promise<void>((resolve, reject) => {
    socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve)
    socket.once('error', reject)
  })
  socket.setNoDelay(true)
  return client
}

/** The key of the example in RFC 6455 1.3; its accept is `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`. */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

export interface UpgradeRequestOptions {
  method?: string
  token?: string
  host?: string
  /** Further fields. One with the name of a field of the handshake replaces it, and `undefined` removes it. */
  headers?: Record<string, string | string[] | undefined> | RawHeaders
  httpVersion?: string
}

/** A correct handshake, or one with changed fields. */
export function upgradeRequest(path: string, options: UpgradeRequestOptions = {}): string {
  const { method = 'GET', token = 'websocket', host = 'front.example', headers = {}, httpVersion = '1.1' } = options
  const changes: [string, string | string[] | undefined][] = Array.isArray(headers) ? headers : Object.entries(headers)
  const fields: [string, string][] = [
    ['Host', host],
    ['Connection', 'Upgrade'],
    ['Upgrade', token],
  ]
  if (token.toLowerCase() === 'websocket') fields.push(['Sec-WebSocket-Key', KEY], ['Sec-WebSocket-Version', '13'])
  const replaced = new Set(changes.map(([name]) => name.toLowerCase()))
  const lines = fields.filter(([name]) => !replaced.has(name.toLowerCase())).map(([name, value]) => `${name}: ${value}`)
  for (const [name, value] of changes) {
    for (const one of value === undefined ? [] : [value].flat()) lines.push(`${name}: ${one}`)
  }
  return `${method} ${path} HTTP/${httpVersion}\r\n${lines.join('\r\n')}\r\n\r\n`
}

/** A plain request, with Host unless that is empty. The body is latin1 text, one byte for each character. */
export function plainRequest(
  path: string,
  { method = 'GET', headers = [] as string[], body = '', host = 'front.example' } = {},
): string {
  const lines = [...(host === '' ? [] : [`Host: ${host}`]), ...headers]
  if (body !== '' && !headers.some(line => /^(content-length|transfer-encoding):/i.test(line))) {
    lines.push(`Content-Length: ${body.length}`)
  }
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`
}

/** Connects and upgrades. The next byte that the client reads is the first one after the head of the 101. */
export async function openTunnel(
  port: number,
  path: string,
  options: UpgradeRequestOptions & Omit<ConnectOptions, 'path'> & { unixPath?: string } = {},
): Promise<{ client: RawClient; head: ResponseHead }> {
  const client = await connect(port, { ...options, path: options.unixPath })
  client.send(upgradeRequest(path, options))
  const head = await client.responseHead()
  if (head.statusCode !== 101) {
    const body = await client.body(head)
    client.destroy()
    throw new Error(`no tunnel: ${head.startLine}: ${body.toString('utf8').slice(0, 300)}`)
  }
  return { client, head }
}
