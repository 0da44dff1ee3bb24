import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { backendError, type Limits } from '../backend/request-limits.ts'
import { type Answer, roundTrip } from '../backend/round-trip.ts'
import type { Worker } from '../backend/worker.ts'
import type { RequestHead } from '../http/request-head.ts'
import { checkSwitch } from '../http/upgrade.ts'
import { show } from '../options/checks.ts'
import type { HealthCheckSettings } from '../options/health-options.ts'

/** Bytes of a body that a check looks at. */
const MAX_BODY = 65_536

/** ms that a backend has to answer the end of a WebSocket. */
const GOODBYE = 1_000

/** Whom to ask, and for what. */
export interface Probe {
  readonly worker: Worker
  readonly check: HealthCheckSettings
  /** Path and query. */
  readonly path: string
  /** ms; 0 is never. */
  readonly connectTimeout: number
}

/** An answer has come, and it is not a good one. */
class BadAnswer extends Error {}

/**
 * Asks a backend once, on a connection of its own, whether it is well. httpd: hc_check_tcp, hc_check_http.
 *
 * @param closing ends it at once, and its connection.
 * @returns what it said, in words.
 * @throws {Error} that says in words why it is not well.
 */
export async function probe({ worker, check, path, connectTimeout }: Probe, closing: AbortSignal): Promise<string> {
  const { method, timeout } = check
  const limits = { connectTimeout: Math.min(connectTimeout || timeout, timeout), handshakeTimeout: timeout }
  const late = new AbortController()
  // One of AbortSignal.timeout would run on after the check.
  const timer = setTimeout(() => late.abort(), method === 'TCP' ? limits.connectTimeout : timeout)
  const end = AbortSignal.any([closing, late.signal])
  try {
    if (method === 'TCP') return await connects(worker, end)
    if (method === 'WEBSOCKET') return await opensWebSocket(worker, path, limits, end)
    return await answers(worker, path, limits, check, end)
  } catch (error) {
    if (late.signal.aborted) throw new Error(`not done after ${timeout} ms`)
    throw error instanceof BadAnswer ? error : backendError(error as Error)
  } finally {
    clearTimeout(timer)
  }
}

async function connects({ connectOptions }: Worker, signal: AbortSignal): Promise<string> {
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

async function answers(
  worker: Worker,
  path: string,
  limits: Limits,
  { method, expect }: HealthCheckSettings,
  signal: AbortSignal,
): Promise<string> {
  const verb = method.replace('11', '')
  const ask = { method: verb, path: verb === 'OPTIONS' ? '*' : path, headers: ['Host', worker.origin.authority] }
  const answer = await send(worker, ask, limits, signal, method === verb)
  if (answer.switched) {
    answer.socket.destroy()
    throw new BadAnswer('status 101, and nobody asked for a switch')
  }
  const { response } = answer
  const { statusCode = 0, headers } = response
  const body = verb === 'GET' ? await bodyOf(response) : ''
  response.destroy()
  if (expect === undefined) {
    if (statusCode < 200 || statusCode > 399) throw new BadAnswer(`status ${statusCode}`)
    return `status ${statusCode}`
  }
  let verdict: unknown
  try {
    verdict = expect({ statusCode, headers, body })
  } catch (error) {
    throw new BadAnswer(`expect threw ${String(error)}`)
  }
  // The promise of an async function would be a yes to everything.
  if (typeof verdict !== 'boolean') throw new BadAnswer(`expect gave ${show(verdict)}, neither true nor false`)
  if (!verdict) throw new BadAnswer(`status ${statusCode}, not as expected`)
  return `status ${statusCode}, as expected`
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length >= MAX_BODY) break
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY).toString()
}

/** RFC 6455 4.1, 7.1. */
async function opensWebSocket(worker: Worker, path: string, limits: Limits, signal: AbortSignal): Promise<string> {
  const key = randomBytes(16).toString('base64')
  const fields = { Host: worker.origin.authority, Upgrade: 'websocket', Connection: 'Upgrade' }
  const headers = [...Object.entries(fields).flat(), 'Sec-WebSocket-Key', key, 'Sec-WebSocket-Version', '13']
  const answer = await send(worker, { method: 'GET', path, headers }, limits, signal, false)
  if (!answer.switched) {
    answer.response.destroy()
    throw new BadAnswer(`status ${answer.response.statusCode} instead of 101`)
  }
  const { socket, response } = answer
  try {
    checkSwitch(response, 'websocket', key)
  } catch (error) {
    socket.destroy()
    throw error
  }
  await sayGoodbye(socket, signal)
  return 'WebSocket opened'
}

/** A Close frame with status 1000, masked as a client's must be (RFC 6455 5.3, 5.5.1). */
function closeFrame(): Buffer {
  const [a, b, c, d] = randomBytes(4) as unknown as [number, number, number, number]
  return Buffer.from([0x88, 0x82, a, b, c, d, a ^ 0x03, b ^ 0xe8])
}

/** The one who answers a Close ends the connection; one that does not is not waited for long. */
function sayGoodbye(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = (): void => void socket.destroy()
    signal.addEventListener('abort', end)
    socket.setTimeout(GOODBYE, end)
    socket.once('end', end)
    socket.once('close', () => {
      signal.removeEventListener('abort', end)
      resolve()
    })
    socket.resume()
    socket.end(closeFrame())
  })
}

function send(
  worker: Worker,
  ask: RequestHead,
  limits: Limits,
  signal: AbortSignal,
  inHttp10: boolean,
): Promise<Answer> {
  let request: ClientRequest | undefined
  const abort = (): void => void request?.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  return roundTrip(worker, ask, limits, {
    interim: () => {},
    started: sent => {
      request = sent
      if (inHttp10) sent.once('socket', speakHttp10)
    },
  })
}

/** Node writes requests of HTTP/1.1 only, and their head at once. */
function speakHttp10(socket: Socket): void {
  const write = socket.write
  socket.write = ((head: string | Buffer, ...rest: unknown[]) => {
    socket.write = write
    const text = head.toString('latin1').replace(' HTTP/1.1\r\n', ' HTTP/1.0\r\n')
    return Reflect.apply(write, socket, [text, ...rest])
  }) as typeof write
}
