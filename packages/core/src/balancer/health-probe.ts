import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { backendError } from '../backend/backend-error.ts'
import { IncomingResponse } from '../backend/incoming-response.ts'
import { nodeRoundTrip, type Switched } from '../backend/node-round-trip.ts'
import type { Limits } from '../backend/request-limits.ts'
import { NEEDS_HTTP1, streamRoundTrip } from '../backend/stream-round-trip.ts'
import type { Worker } from '../backend/worker.ts'
import { HeaderList } from '../http/header-list.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { RequestHead } from '../http/request-head.ts'
import { checkSwitch } from '../http/upgrade.ts'
import { show } from '../options/checks.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'
import { onAbort } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'

/** Bytes of a body that a check reads. */
const MAX_BODY = 65_536

/** How long a backend may take to respond to a Close frame, ms. */
const CLOSE_TIMEOUT = 1_000

/** What to check, and how. */
export interface Probe {
  readonly worker: Worker
  readonly check: HealthCheckSettings
  /** Path and query. */
  readonly path: string
  /** ms; 0 is no limit. */
  readonly connectTimeout: number
}

/** The backend responded, but not as expected. */
class BadResponse extends Error {}

/**
 * Checks a backend once, on a separate connection. httpd: hc_check_tcp, hc_check_http.
 *
 * @param closing Ends the check and its connection at once.
 * @returns the result in words.
 * @throws {Error} whose message says why the check failed.
 */
export async function probe({ worker, check, path, connectTimeout }: Probe, closing: AbortSignal): Promise<string> {
  const { method, timeout } = check
  const limits = { connectTimeout: Math.min(connectTimeout || timeout, timeout), handshakeTimeout: timeout }
  const late = new AbortController()
  // Not AbortSignal.timeout: its timer would continue after the check.
  const limit = new Countdown(method === 'TCP' ? limits.connectTimeout : timeout, () => late.abort())
  const end = AbortSignal.any([closing, late.signal])
  try {
    if (method === 'TCP') return await checkConnect(worker, end)
    if (method === 'WEBSOCKET') return await checkWebSocket(worker, path, limits, check, end)
    return await checkResponse(worker, path, limits, check, end)
  } catch (error) {
    if (late.signal.aborted) throw new Error(`not finished after ${timeout} ms`)
    throw error instanceof BadResponse ? error : backendError(error as Error)
  } finally {
    limit.stop()
    worker.dropIdle()
  }
}

/** The fields of a request. A `Host` of the options replaces that of the member. */
function requestFields({ Host, ...fields }: Record<'Host', string>, own: Readonly<Record<string, string>>): string[] {
  const host = Object.keys(own).some(name => name.toLowerCase() === 'host') ? {} : { Host }
  return Object.entries({ ...host, ...fields, ...own }).flat()
}

async function checkConnect({ connectOptions }: Worker, signal: AbortSignal): Promise<string> {
  const { host = '', port = 0, socketPath, lookup } = connectOptions
  const socket = connect(
    socketPath === undefined ? { host, port, signal, ...(lookup && { lookup }) } : { path: socketPath, signal },
  )
  try {
    await once(socket, 'connect')
    return 'connected'
  } finally {
    socket.destroy()
  }
}

async function checkResponse(
  worker: Worker,
  path: string,
  limits: Limits,
  { method, headers: own, expect }: HealthCheckSettings,
  signal: AbortSignal,
): Promise<string> {
  const verb = method.replace('11', '')
  const request = {
    method: verb,
    path: verb === 'OPTIONS' ? '*' : path,
    headers: requestFields({ Host: worker.origin.authority }, own),
  }
  const result = await send(worker, request, limits, signal, { inHttp10: method === verb })
  if (result.switched) {
    result.socket.destroy()
    throw new BadResponse('status 101 without a request to switch')
  }
  const { response, headers } = result
  const { statusCode } = response
  let body = ''
  try {
    if (verb === 'GET') body = await bodyOf(response, signal)
  } finally {
    response.destroy()
  }
  if (expect === undefined) {
    if (statusCode < 200 || statusCode > 399) throw new BadResponse(`status ${statusCode}`)
    return `status ${statusCode}`
  }
  let verdict: unknown
  try {
    verdict = expect({ statusCode, headers, body })
  } catch (error) {
    throw new BadResponse(`expect threw ${String(error)}`)
  }
  // A promise of an async function would count as true for every response.
  if (typeof verdict !== 'boolean') throw new BadResponse(`expect returned ${show(verdict)}, expected true or false`)
  if (!verdict) throw new BadResponse(`status ${statusCode}, not as expected`)
  return `status ${statusCode}, as expected`
}

/** Reads the beginning of the body. A round trip ignores its signal once it has the head, so the signal ends the body too. */
function bodyOf(response: PlainResponse, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const stop = onAbort(signal, reject)
    const end = (): void => {
      stop()
      resolve(Buffer.concat(chunks).subarray(0, MAX_BODY).toString())
    }
    response.read({
      lends: false,
      isDrained: true,
      onData: chunk => {
        chunks.push(chunk)
        length += chunk.length
        if (length >= MAX_BODY) end()
      },
      onEnd: end,
      onCut: () => {
        stop()
        reject(new Error('the body broke off'))
      },
    })
  })
}

/** RFC 6455 4.1, 7.1. */
async function checkWebSocket(
  worker: Worker,
  path: string,
  limits: Limits,
  { headers: own }: HealthCheckSettings,
  signal: AbortSignal,
): Promise<string> {
  const key = randomBytes(16).toString('base64')
  const fields = { Host: worker.origin.authority, Upgrade: 'websocket', Connection: 'Upgrade' }
  const headers = [...requestFields(fields, own), 'Sec-WebSocket-Key', key, 'Sec-WebSocket-Version', '13']
  const result = await send(worker, { method: 'GET', path, headers }, limits, signal, { protocol: 'websocket' })
  if (!result.switched) {
    result.response.destroy()
    throw new BadResponse(`status ${result.response.statusCode} instead of 101`)
  }
  const { socket, response } = result
  try {
    checkSwitch(response, 'websocket', key)
  } catch (error) {
    socket.destroy()
    throw error
  }
  await closeWebSocket(socket, signal)
  return 'WebSocket opened'
}

/** A Close frame with status 1000, masked as a client's must be (RFC 6455 5.3, 5.5.1). */
function closeFrame(): Buffer {
  const [a, b, c, d] = randomBytes(4) as unknown as [number, number, number, number]
  return Buffer.from([0x88, 0x82, a, b, c, d, a ^ 0x03, b ^ 0xe8])
}

/** Sends a Close frame. The connection ends with the Close frame of the backend, or after a short time without one. */
function closeWebSocket(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = (): void => void socket.destroy()
    signal.addEventListener('abort', end)
    socket.setTimeout(CLOSE_TIMEOUT, end)
    socket.once('end', end)
    socket.once('close', () => {
      signal.removeEventListener('abort', end)
      resolve()
    })
    socket.resume()
    socket.end(closeFrame())
  })
}

/** A response that is not a 101, with its fields as Node has them. */
interface Answer {
  readonly switched: false
  readonly response: PlainResponse
  readonly headers: IncomingHttpHeaders
}

/** @param protocol is given for an upgrade. */
async function send(
  worker: Worker,
  request: RequestHead,
  limits: Limits,
  signal: AbortSignal,
  { inHttp10 = false, protocol }: { inHttp10?: boolean; protocol?: string },
): Promise<Switched | Answer> {
  const options = { limits, signal, onInterim: () => {} }
  if (worker.sessions !== undefined) {
    const { method, path } = request
    const headers = HeaderList.from(request.headers)
    const result = await streamRoundTrip({ ...options, worker, method, path, headers, ...(protocol && { protocol }) })
    if (result !== NEEDS_HTTP1) return result.switched ? result : { ...result, headers: fieldsOf(result.response) }
  }
  const result = await nodeRoundTrip(worker, request, options, worker.connectOptions, sent => {
    if (inHttp10) sent.once('socket', useHttp10)
  })
  if (result.switched) return result
  const { response } = result
  return { switched: false, response: new IncomingResponse(response), headers: response.headers }
}

function fieldsOf({ rawHeaders }: PlainResponse): IncomingHttpHeaders {
  const fields: IncomingHttpHeaders = {}
  const list = HeaderList.from(rawHeaders)
  for (const [name] of list) {
    const lower = name.toLowerCase()
    fields[lower] = lower === 'set-cookie' ? (list.getAll(lower) as never) : list.get(lower)
  }
  return fields
}

/** Changes the next request on the socket to HTTP/1.0, because Node writes HTTP/1.1 only. Node writes the head in one piece. */
function useHttp10(socket: Socket): void {
  const write = socket.write
  socket.write = ((head: string | Buffer, ...rest: unknown[]) => {
    socket.write = write
    const text = head.toString('latin1').replace(' HTTP/1.1\r\n', ' HTTP/1.0\r\n')
    return Reflect.apply(write, socket, [text, ...rest])
  }) as typeof write
}
