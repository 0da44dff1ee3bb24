import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { WsTunnelError } from './errors.ts'
import { HeaderList, headerLines, headerValue, listMembers } from './headers.ts'
import { type ArrivedUpgrade, arrivedUpgrade, setArrivedUpgrade } from './listener.ts'
import type { RouteSettings } from './options.ts'
import { allowedToken, canSwitch, connectionUpgrade, methodFits, upgradeTokens } from './upgrade.ts'

/** Most bytes a client may send ahead of the 101 before its socket is read no further. */
const MAX_EARLY_BYTES = 65_536

/**
 * Whether the request is an upgrade on this route: the token for the backend in the client's spelling, or `undefined`
 * for plain HTTP.
 *
 * @throws {WsTunnelError} 426 or 400 where the route serves upgrades only, 400 for a handshake with doubled fields.
 */
export function requestedUpgrade(
  req: IncomingMessage,
  { upgrade, fallback, strictHandshake }: RouteSettings,
): string | undefined {
  const asked = upgradeTokens(req)
  if (asked.length === 0 && !upgrade.always) {
    if (fallback || !('upgrade' in req.headers)) return undefined
    throw upgradeRequired(upgrade.tokens)
  }
  const token = allowedToken(upgrade, asked)
  if (token === undefined) {
    if (fallback) return undefined
    throw upgradeRequired(upgrade.tokens)
  }
  if (!canSwitch(req) || !methodFits(req, token) || !(connectionUpgrade(req) || upgrade.always)) {
    if (fallback) return undefined
    throw badHandshake('an upgrade is an HTTP/1.1 request without body, a GET for WebSocket, with Connection: upgrade')
  }
  for (const name of ['Sec-WebSocket-Key', 'Sec-WebSocket-Version']) {
    if (headerLines(req, name).length > 1) throw badHandshake(`more than one ${name}`)
  }
  if (strictHandshake && token.toLowerCase() === 'websocket') checkWebSocketRequest(req)
  return token
}

function badHandshake(detail: string): WsTunnelError {
  return new WsTunnelError('WST_ERR_BAD_HANDSHAKE', { detail })
}

function upgradeRequired(tokens: readonly string[]): WsTunnelError {
  const allowed = tokens.length === 0 ? 'websocket' : tokens.join(', ')
  return new WsTunnelError('WST_ERR_UPGRADE_REQUIRED', {
    detail: `ask for ${allowed}`,
    headers: { Upgrade: allowed, Connection: 'Upgrade' },
  })
}

/** RFC 6455 4.2.1. */
function checkWebSocketRequest(req: IncomingMessage): void {
  const key = headerValue(req, 'sec-websocket-key')
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw badHandshake('Sec-WebSocket-Key is not 16 bytes in base64')
  if (headerValue(req, 'sec-websocket-version') !== '13') throw badHandshake('Sec-WebSocket-Version is not 13')
}

/** Scheme, host and port must be one of those allowed; a request without Origin comes from no browser (RFC 6455 10.2). */
export function checkOrigin(req: IncomingMessage, allowed: ReadonlySet<string> | undefined): void {
  if (allowed === undefined) return
  const origins = headerLines(req, 'origin')
  if (origins.length === 0) return
  if (origins.length > 1 || !allowed.has((origins[0] as string).toLowerCase()))
    throw new WsTunnelError('WST_ERR_ORIGIN')
}

/**
 * RFC 9112 3.2: exactly one well-formed Host, and none that contradicts an absolute-form request target. Node's
 * `upgrade` event checks none of it.
 */
export function checkHost(req: IncomingMessage, authority: string | undefined): void {
  if (req.httpVersionMajor > 1) return
  const hosts = headerLines(req, 'host')
  const bad = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_REQUEST', { detail })
  if (hosts.length > 1) throw bad('more than one Host')
  if (hosts.length === 0 && req.httpVersionMinor === 1) throw bad('no Host')
  const host = hosts[0] ?? ''
  if (!/^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i.test(host)) throw bad('Host is malformed')
  if (authority !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    throw bad('Host is not the one of the request target')
  }
}

/** A client's connection between its upgrade request and the 101. */
export class PendingUpgrade {
  readonly socket: Socket
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #takenOver: boolean
  readonly #aborted = Promise.withResolvers<never>()
  #abortedBy: WsTunnelError | undefined
  #early: Buffer[] = []
  #earlyBytes = 0

  /**
   * Takes the client's socket in hand, in the same turn in which the request was handed over: a request that came
   * without `upgrade` event loses the bytes that come before.
   */
  constructor(req: IncomingMessage, res: ServerResponse) {
    const { socket, head, takenOver } = arrivedUpgrade(req) ?? takeOver(res)
    this.socket = socket
    this.#req = req
    this.#res = res
    this.#takenOver = takenOver
    this.#aborted.promise.catch(() => {})
    // A stream that may not stay half open would answer the client's FIN with its own.
    socket.allowHalfOpen = true
    res.shouldKeepAlive = false
    if (socket.destroyed || socket.readableEnded) this.#clientOnGone()
    socket.on('end', this.#clientOnGone)
    socket.on('close', this.#clientOnGone)
    socket.on('data', this.#clientOnData)
    socket.resume()
    if (head.length > 0) this.#clientOnData(head)
  }

  readonly #clientOnData = (chunk: Buffer): void => {
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.socket.pause()
  }

  readonly #clientOnGone = (): void => this.abort(new WsTunnelError('WST_ERR_CLIENT_GONE'))

  /** Gives the upgrade up; the first reason counts. */
  abort(error: WsTunnelError): void {
    this.#abortedBy ??= error
    this.#aborted.reject(this.#abortedBy)
  }

  /** Waits for something, but no longer than the client does. */
  async unlessAborted<T>(wanted: T | Promise<T>): Promise<T> {
    const value = wanted instanceof Promise ? await Promise.race([wanted, this.#aborted.promise]) : wanted
    this.check()
    return value
  }

  /** Throws the reason if the upgrade was given up. */
  check(): void {
    if (this.#abortedBy !== undefined) throw this.#abortedBy
  }

  /** Calls back with the reason when the upgrade is given up. */
  whenAborted(callback: (error: WsTunnelError) => void): void {
    this.#aborted.promise.catch(callback)
  }

  /** Hands the upgrade back untouched, with the bytes that came meanwhile: the next handler may take it. */
  release(): void {
    this.#letGo()
    this.socket.pause()
    setArrivedUpgrade(this.#req, {
      socket: this.socket,
      head: Buffer.concat(this.#early),
      takenOver: this.#takenOver,
    })
  }

  /** Reads on without keeping anything: the answer is no 101, and early bytes end with the connection. */
  refuse(): void {
    this.#letGo()
    this.#early = []
    this.socket.resume()
  }

  /**
   * Writes the 101 with what earlier middleware put on `res`, then takes the socket from it. The caller must attach its
   * own `data` listener in the same turn.
   *
   * @returns the bytes the client sent ahead of it.
   */
  switch(reason: string, headers: HeaderList): Buffer[] {
    const res = this.#res
    writeHead(res, 101, reason, headers)
    res.flushHeaders()
    this.#letGo()
    // A taken-over socket stays assigned: without an unfinished answer the server would sweep it as idle.
    if (!this.#takenOver) {
      res.detachSocket(this.socket)
      this.socket.once('close', () => res.emit('close'))
    }
    spend(res, this.socket)
    return this.#early
  }

  #letGo(): void {
    this.socket.off('data', this.#clientOnData)
    this.socket.off('end', this.#clientOnGone)
    this.socket.off('close', this.#clientOnGone)
  }
}

/** Takes the socket of a plain request from Node's HTTP server; a `data` listener makes the parser let go of it. */
function takeOver(res: ServerResponse): ArrivedUpgrade {
  const { socket } = res
  if (socket === null) throw badHandshake('an upgrade cannot stand behind an unanswered request')
  for (const event of ['data', 'end', 'timeout', 'drain', 'error']) socket.removeAllListeners(event)
  socket.on('error', () => {})
  socket.on('drain', () => {
    if (!res.writableEnded) res.emit('drain')
  })
  socket.setTimeout(0)
  return { socket, head: Buffer.alloc(0), takenOver: true }
}

/**
 * After the switch the response has no say: a late `end`, `write` or `destroy` by other middleware, or finalhandler's
 * `req.socket.destroy()`, must not touch the tunnel.
 */
function spend(res: ServerResponse, socket: Socket): void {
  const inert = { value: () => res, configurable: true }
  Object.defineProperties(res, {
    end: inert,
    destroy: inert,
    write: { value: () => true, configurable: true },
  })
  res.on('error', () => {})
  const spent: Socket = Object.create(socket, { destroy: { value: () => spent }, end: { value: () => spent } })
  ;(res.req as { socket: Socket }).socket = spent
}

/**
 * `writeHead` with a raw list. What middleware has set stays; of a field that both have, the answer's counts, but
 * cookies add up.
 */
export function writeHead(
  res: ServerResponse,
  statusCode: number,
  reason: string | undefined,
  headers: HeaderList,
): void {
  const cookies = res.getHeader('set-cookie')
  const own = cookies === undefined ? [] : Array.isArray(cookies) ? cookies : [String(cookies)]
  const list = new HeaderList()
  for (const cookie of own) list.append('Set-Cookie', cookie)
  for (const [name, value] of headers) list.append(name, value)
  res.sendDate = statusCode >= 200 && !headers.has('date')
  try {
    if (res.req.httpVersionMajor > 1) res.writeHead(statusCode, Object.fromEntries(grouped(list)))
    else res.writeHead(statusCode, reason ?? '', list.toRaw() as never)
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_BAD_ANSWER', { detail: (cause as Error).message, cause })
  }
}

function grouped(headers: HeaderList): Map<string, string[]> {
  const fields = new Map<string, string[]>()
  for (const [name] of headers) fields.set(name.toLowerCase(), headers.getAll(name))
  return fields
}

/**
 * Refuses a 101 that nobody asked for: HTTP/1.0, another token, none or several, and with `strictHandshake` the wrong
 * Sec-WebSocket-Accept. httpd: AH00898 "Unexpected Upgrade".
 */
export function checkSwitch(req: IncomingMessage, response: IncomingMessage, token: string, strict: boolean): void {
  const refuse = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_SWITCH', { detail })
  if (response.httpVersion !== '1.1') throw refuse(`HTTP/${response.httpVersion}`)
  const tokens = listMembers(headerLines(response, 'upgrade'))
  if (tokens.length !== 1 || tokens[0]?.toLowerCase() !== token.toLowerCase()) {
    throw refuse(`expected Upgrade: ${token}, got ${tokens.length === 0 ? 'none' : JSON.stringify(tokens.join(', '))}`)
  }
  if (!connectionUpgrade(response)) throw refuse('no Connection: upgrade')
  if (strict && token.toLowerCase() === 'websocket') {
    const accept = createHash('sha1').update(
      `${headerValue(req, 'sec-websocket-key')}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
    )
    if (headerValue(response, 'sec-websocket-accept') !== accept.digest('base64'))
      throw refuse('wrong Sec-WebSocket-Accept')
  }
}
