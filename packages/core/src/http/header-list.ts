import type { IncomingMessage } from 'node:http'

/** Whether a name is the one given in lower case; most differ in length already. */
const isNamed = (name: string, lower: string): boolean => name.length === lower.length && name.toLowerCase() === lower

/**
 * Header fields in the order, case and number they came in (RFC 9110 5.3). Names are compared without case.
 */
export class HeaderList {
  #fields: [name: string, value: string][] = []

  /** From Node's `rawHeaders`: name, value, name, value; of them those whose lower-case name passes. */
  static from(raw: readonly string[], keep?: (lowerName: string) => boolean): HeaderList {
    const list = new HeaderList()
    list.#add(raw, keep)
    return list
  }

  #add(raw: readonly string[], keep: ((lowerName: string) => boolean) | undefined): void {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i] as string
      if (keep === undefined || keep(name.toLowerCase())) this.#fields.push([name, raw[i + 1] as string])
    }
  }

  /** Every line of the field. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase()
    const values: string[] = []
    for (const field of this.#fields) if (isNamed(field[0], lower)) values.push(field[1])
    return values
  }

  /** The lines joined by `, `, or `undefined`. */
  get(name: string): string | undefined {
    const values = this.getAll(name)
    return values.length === 0 ? undefined : values.join(', ')
  }

  has(name: string): boolean {
    const lower = name.toLowerCase()
    return this.#fields.some(field => isNamed(field[0], lower))
  }

  /** One line in the place of the first, the others go; at the end if there was none. */
  set(name: string, value: string): this {
    const lower = name.toLowerCase()
    const at = this.#fields.findIndex(field => isNamed(field[0], lower))
    if (at === -1) return this.append(name, value)
    this.#fields = this.#fields.filter((field, i) => i === at || !isNamed(field[0], lower))
    this.#fields[at] = [name, value]
    return this
  }

  append(name: string, value: string): this {
    this.#fields.push([name, value])
    return this
  }

  /** Appends those of Node's `rawHeaders` whose lower-case name passes. */
  appendRaw(raw: readonly string[], keep: (lowerName: string) => boolean): this {
    this.#add(raw, keep)
    return this
  }

  unset(name: string): this {
    const lower = name.toLowerCase()
    if (this.has(lower)) this.#fields = this.#fields.filter(field => !isNamed(field[0], lower))
    return this
  }

  /** Keeps the fields whose lower-case name passes. */
  filter(keep: (lowerName: string, value: string) => boolean): this {
    this.#fields = this.#fields.filter(([name, value]) => keep(name.toLowerCase(), value))
    return this
  }

  /** Replaces values in place. */
  map(change: (lowerName: string, value: string) => string): this {
    for (const field of this.#fields) field[1] = change(field[0].toLowerCase(), field[1])
    return this
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.#fields[Symbol.iterator]()
  }

  /** Name, value, name, value: what `writeHead` and `http.request` take to keep order and duplicates. */
  toRaw(): string[] {
    const raw: string[] = []
    for (const field of this.#fields) raw.push(field[0], field[1])
    return raw
  }
}

/** The fields of a request or answer, as Node has them: name, value, name, value. */
export interface MessageHead {
  readonly rawHeaders: readonly string[]
}

/** The value of a field, several lines joined by `, ` as httpd joins them; `''` if there is none. */
export function headerValue(req: MessageHead, name: string): string {
  return headerLines(req, name).join(', ')
}

/** Every line of a field. */
export function headerLines(req: MessageHead, name: string): string[] {
  const lower = name.toLowerCase()
  const lines: string[] = []
  const { rawHeaders } = req
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (isNamed(rawHeaders[i] as string, lower)) lines.push(rawHeaders[i + 1] as string)
  }
  return lines
}

/** The members of a comma-separated list, without empty ones (RFC 9110 5.6.1). */
export function listMembers(values: readonly string[]): string[] {
  const members: string[] = []
  for (const value of values) {
    for (const part of value.split(',')) {
      const member = part.trim()
      if (member !== '') members.push(member)
    }
  }
  return members
}

/** Connection-level fields of RFC 9110 7.6.1 and their older kin: never forwarded, either way. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/**
 * What a client may not nominate away through `Connection`: fields a backend decides by, and those we add ourselves
 * (CVE-2022-31813 and its descendants).
 */
function isProtected(name: string): boolean {
  return (
    ['host', 'forwarded', 'via', 'authorization', 'cookie', 'origin'].includes(name) ||
    /^(x-forwarded-|sec-websocket-|content-)/.test(name)
  )
}

/** Which fields are end-to-end: neither hop-by-hop nor named by one of these lines of Connection. */
function endToEnd(connection: readonly string[]): (lowerName: string) => boolean {
  const named = listMembers(connection).map(name => name.toLowerCase())
  return name => !HOP_BY_HOP.has(name) && !(named.includes(name) && !isProtected(name))
}

/** Takes the hop-by-hop fields out, and those that Connection names. httpd: ap_proxy_clear_connection. */
export function removeHopByHop(headers: HeaderList): HeaderList {
  return headers.filter(endToEnd(headers.getAll('connection')))
}

/** The end-to-end fields of a request or answer. */
export function endToEndHeaders(message: MessageHead): HeaderList {
  return HeaderList.from(message.rawHeaders, endToEnd(headerLines(message, 'connection')))
}

/** The request as the proxy sees it, for the headers it adds. */
export interface Forwarding {
  /** Address of the peer that sent the request. */
  readonly clientAddress: string
  readonly encrypted: boolean
  /** The client's Host, verbatim. */
  readonly host: string
  /** Host for the backend. */
  readonly targetHost: string
  /** The peer may set X-Forwarded-* and Forwarded. */
  readonly trusted: boolean
  /** X-Forwarded-Proto is the client's alone. */
  readonly appends: boolean
  readonly serverName: string
  readonly httpVersion: string
  readonly addHeaders: boolean
  readonly preserveHost: boolean
  readonly via: 'off' | 'on' | 'full' | 'block'
}

const isForwarded = (name: string): boolean => name === 'forwarded' || name.startsWith('x-forwarded-')

/**
 * The end-to-end header list for the backend: Host first, the client's fields in their order, then Via and
 * X-Forwarded-*. httpd: ap_proxy_create_hdrbrgd. Framing and Connection are the caller's.
 */
export function requestHeaders(req: IncomingMessage, forwarding: Forwarding): HeaderList {
  const isEndToEnd = endToEnd(headerLines(req, 'connection'))
  const list = new HeaderList().append('Host', forwarding.preserveHost ? forwarding.host : forwarding.targetHost)
  list.appendRaw(req.rawHeaders, name => {
    if (name === 'host' || name === 'expect' || name.startsWith(':') || !isEndToEnd(name)) return false
    // An underscore twin reads as the real field in CGI-like backends (CVE-2025-64484).
    return forwarding.trusted || !isForwarded(name.replaceAll('_', '-'))
  })
  if (forwarding.trusted && forwarding.addHeaders) {
    list.filter(name => !(name.includes('_') && isForwarded(name.replaceAll('_', '-'))))
  }
  addVia(list, forwarding)
  if (forwarding.addHeaders) {
    const add = (name: string, value: string): unknown =>
      list.set(name, list.has(name) ? `${list.get(name)}, ${value}` : value)
    add('X-Forwarded-For', forwarding.clientAddress)
    if (forwarding.host !== '') add('X-Forwarded-Host', forwarding.host)
    add('X-Forwarded-Server', forwarding.serverName)
    if (!forwarding.appends && !list.has('x-forwarded-proto'))
      list.set('X-Forwarded-Proto', forwarding.encrypted ? 'https' : 'http')
  }
  return list
}

/** ProxyVia, for requests and answers alike. */
export function addVia(
  headers: HeaderList,
  { via, httpVersion, serverName }: Pick<Forwarding, 'via' | 'httpVersion' | 'serverName'>,
): HeaderList {
  if (via === 'block') return headers.unset('via')
  if (via === 'off') return headers
  const mine = `${httpVersion} ${serverName}${via === 'full' ? ' (ws-tunnel)' : ''}`
  const before = headers.get('via')
  return headers.set('Via', before === undefined ? mine : `${before}, ${mine}`)
}
