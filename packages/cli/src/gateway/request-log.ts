import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type BalancerChoice, plainAddress, protocolOf, type ResponseMessage } from '@ws-tunnel/core'
import type { AccessLogSettings } from '../configuration/log-directives.ts'
import type { Host } from '../configuration/virtual-hosts.ts'
import { newId } from '../logs/error-format.ts'
import { jsonLogger } from '../logs/error-log.ts'
import type { LogEntry, RequestVariables } from '../logs/log-entry.ts'
import { tlsVariable } from '../logs/log-items.ts'
import type { LogSink } from '../logs/log-sink.ts'

/** A host, and the open files of its access logs. */
export interface LoggedHost {
  readonly host: Host
  readonly accessLogs: readonly (AccessLogSettings & { readonly sink: LogSink })[]
}

/** The backend that responded to a request. */
interface Served {
  readonly target: string
  readonly choice: BalancerChoice | undefined
}

/** What is known about a connection from the lines of its earlier requests. */
interface Counted {
  read: number
  written: number
  requests: number
}

const NO_VARIABLES: RequestVariables = new Map()

/** Writes the access log lines of requests, of tunnels, and of requests that Node's parser refused. */
export class RequestLog {
  readonly #isJson: boolean
  /** The bytes of each connection that earlier lines have counted. */
  readonly #counted = new WeakMap<Socket, Counted>()
  readonly #served = new WeakMap<IncomingMessage, Served>()

  constructor(isJson: boolean) {
    this.#isJson = isJson
    subscribe('ws-tunnel:response', this.#backendOnResponse)
  }

  /** Starts the record of a request. It wraps `res`, so it must be called before anything writes to the response. */
  start(req: IncomingMessage, res: ServerResponse, logged: LoggedHost): RequestRecord {
    const reads = logged.accessLogs.some(({ format }) => format.readsResponseFields)
    if (reads) keepResponseFields(res)
    return new RequestRecord(this, req, res, logged)
  }

  /** Writes the lines of a request that the parser refused. */
  refused(socket: Socket, requestLine: string, status: number, body: number, logged: LoggedHost): void {
    this.write(logged, {
      req: undefined,
      res: undefined,
      requestLine,
      ...addressesOf(socket),
      tls: tlsOf(socket, logged),
      serverName: logged.host.serverName,
      startedAt: new Date(),
      duration: 0,
      timeToFirstByte: undefined,
      status,
      ...this.count(socket),
      bodyBytes: body,
      errorId: undefined,
      variables: () => NO_VARIABLES,
    })
  }

  /** Counts the bytes of a connection since its last line. */
  count(socket: Socket): Pick<LogEntry, 'bytesIn' | 'bytesOut' | 'keptAlive'> {
    const before = this.#counted.get(socket) ?? { read: 0, written: 0, requests: 0 }
    const after = { read: socket.bytesRead, written: socket.bytesWritten, requests: before.requests + 1 }
    this.#counted.set(socket, after)
    return {
      bytesIn: after.read - before.read,
      bytesOut: after.written - before.written,
      keptAlive: before.requests,
    }
  }

  /** Requests on the connection that have a line. */
  requestsOn(socket: Socket): number {
    return this.#counted.get(socket)?.requests ?? 0
  }

  write(logged: LoggedHost, entry: LogEntry): void {
    for (const { format, variable, sink } of logged.accessLogs) {
      if (variable !== undefined && entry.variables().has(variable.name) !== variable.isSet) continue
      if (this.#isJson) jsonLogger(sink).info(jsonOf(entry), 'request')
      else sink.write(`${format.format(entry)}\n`)
    }
  }

  /** The variables of a request, with the backend that served it. */
  variables(req: IncomingMessage, host: Host): RequestVariables {
    const served = this.#served.get(req)
    const variables = new Map(host.variables(req, served?.choice))
    if (served !== undefined) variables.set('WS_TUNNEL_BACKEND', served.target)
    return variables
  }

  close(): void {
    unsubscribe('ws-tunnel:response', this.#backendOnResponse)
  }

  readonly #backendOnResponse = (message: unknown): void => {
    const { req, target, choice } = message as ResponseMessage
    this.#served.set(req, { target, choice })
  }
}

/** One request in progress. */
export class RequestRecord {
  readonly #log: RequestLog
  readonly #req: IncomingMessage
  /** A tunnel takes the socket away from its request. */
  readonly #socket: Socket
  readonly #res: ServerResponse
  readonly #logged: LoggedHost
  readonly #startedAt = new Date()
  readonly #started = process.hrtime.bigint()
  // Node forgets the addresses of a socket that is closed.
  readonly #addresses: ReturnType<typeof addressesOf>
  readonly #tls: ReadonlyMap<string, string>
  #bodyBytes = 0
  #firstByte: bigint | undefined
  #errorId: string | undefined
  #variables: RequestVariables | undefined

  constructor(log: RequestLog, req: IncomingMessage, res: ServerResponse, logged: LoggedHost) {
    this.#log = log
    this.#req = req
    this.#socket = req.socket
    this.#res = res
    this.#logged = logged
    this.#addresses = addressesOf(req.socket)
    this.#tls = tlsOf(req.socket, logged)
    this.#countBody()
  }

  /** Address and port of the client. */
  get client(): string {
    return `${this.#addresses.clientAddress}:${this.#addresses.clientPort}`
  }

  /** The id that the lines of this request have in the error log and in the access log. */
  get errorId(): string {
    this.#errorId ??= newId()
    return this.#errorId
  }

  readonly variables = (): RequestVariables => {
    this.#variables ??= this.#log.variables(this.#req, this.#logged.host)
    return this.#variables
  }

  get keptAlive(): number {
    return this.#log.requestsOn(this.#socket)
  }

  /** Completes the record and writes its lines. */
  finish(status: number, tunnelBytes?: number): void {
    const req = this.#req
    const elapsed = (until: bigint): number => Number(until - this.#started) / 1_000
    this.#log.write(this.#logged, {
      req,
      res: this.#res,
      requestLine: `${req.method} ${req.url} ${protocolOf(req)}`,
      ...this.#addresses,
      tls: this.#tls,
      serverName: this.#logged.host.serverName,
      startedAt: this.#startedAt,
      duration: elapsed(process.hrtime.bigint()),
      timeToFirstByte: this.#firstByte === undefined ? undefined : Math.round(elapsed(this.#firstByte)),
      status,
      ...this.#log.count(this.#socket),
      bodyBytes: tunnelBytes ?? (req.method === 'HEAD' ? 0 : this.#bodyBytes),
      errorId: this.#errorId,
      variables: this.variables,
    })
  }

  /** Counts the bytes of the body while it is written. */
  #countBody(): void {
    const res = this.#res
    const count = (chunk: unknown): void => {
      this.#firstByte ??= process.hrtime.bigint()
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) this.#bodyBytes += Buffer.byteLength(chunk)
    }
    const { write, end } = res
    res.write = (...args: unknown[]) => {
      count(args[0])
      return write.apply(res, args as never)
    }
    res.end = (...args: unknown[]) => {
      count(args[0])
      return end.apply(res, args as never)
    }
  }
}

function addressesOf({
  remoteAddress,
  remotePort = 0,
  localAddress,
  localPort = 0,
}: Socket): Pick<LogEntry, 'clientAddress' | 'clientPort' | 'localAddress' | 'localPort'> {
  return {
    clientAddress: plainAddress(remoteAddress),
    clientPort: remotePort,
    localAddress: plainAddress(localAddress),
    localPort,
  }
}

function tlsOf(socket: Socket, { accessLogs }: LoggedHost): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const { format } of accessLogs)
    for (const name of format.tlsVariables) {
      const value = tlsVariable(socket, name)
      if (value !== undefined) values.set(name, value)
    }
  return values
}

/**
 * Makes `getHeader` return the fields of the response after the head is written. Node does not keep fields that are
 * passed to `writeHead` as a list. If `writeHead` is an own property of the response, the core sets each field by
 * itself instead.
 */
function keepResponseFields(res: ServerResponse): void {
  res.writeHead = ServerResponse.prototype.writeHead
}

/** A request as `--log-format json` writes it. */
function jsonOf(entry: LogEntry): Record<string, unknown> {
  const { req, variables } = entry
  const env = variables()
  return {
    host: entry.serverName,
    client: entry.clientAddress,
    request: entry.requestLine,
    method: req?.method,
    url: req?.url,
    hostField: req?.headers.host,
    status: entry.status,
    startedAt: entry.startedAt.toISOString(),
    durationMs: Math.round(entry.duration) / 1_000,
    bytesIn: entry.bytesIn,
    bytesOut: entry.bytesOut,
    bodyBytes: entry.bodyBytes,
    userAgent: req?.headers['user-agent'],
    referer: req?.headers.referer,
    user: env.get('REMOTE_USER'),
    backend: env.get('WS_TUNNEL_BACKEND'),
    member: env.get('BALANCER_WORKER_NAME'),
    id: entry.errorId,
  }
}
