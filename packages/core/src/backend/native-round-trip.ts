import { ADDRCONFIG, lookup as systemLookup } from 'node:dns'
import { getDefaultAutoSelectFamily, isIP, type LookupFunction, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { type RequestHead, requestHead } from '../http/request-head.ts'
import { type ResponseHead, readSwitch } from '../http/response-head.ts'
import { descriptor, loadNativeAddon } from '../tunnel/native-addon.ts'
import { NativeConnection } from '../tunnel/native-connection.ts'
import { onAbort, unlessAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import { backendError, roundTripError, timeoutError } from './backend-error.ts'
import { alreadySent, type BackendResponse, nodeRoundTrip, type RoundTripOptions } from './node-round-trip.ts'
import type { Limits } from './request-limits.ts'
import type { Worker } from './worker.ts'

/** The limits of a route that decide whether its tunnels are offloaded at once. */
export interface NativeLimits extends Limits {
  readonly async: boolean
  readonly asyncDelay: number
  readonly keepAlive: number
  readonly threads: number
}

/** A backend switched protocols, and a native thread holds its connection. */
export interface NativeSwitched {
  readonly switched: true
  readonly response: ResponseHead
  readonly connection: NativeConnection
  /** Bytes that the head of the response takes. */
  readonly headSize: number
}

/** A response that Node's parser has to read. */
interface Unread {
  readonly socket: Socket
}

/** Whether a native thread may connect: client and backend are plain connections, and the tunnel is offloaded at once. */
export function canConnectNatively(
  worker: Worker,
  client: Socket | undefined,
  { async, asyncDelay }: NativeLimits,
): boolean {
  const { secure, socketPath } = worker.origin
  if (!async || asyncDelay > 0 || secure || socketPath !== undefined) return false
  // A thread leaves the local address to the system.
  if (worker.connectOptions.localAddress !== undefined) return false
  return client !== undefined && descriptor(client) !== undefined && loadNativeAddon() !== null
}

/**
 * Sends one upgrade request through a thread of `@ws-tunnel/native`. Node's HTTP client handles a backend with several
 * addresses, an unusual request and an unusual response.
 *
 * @throws {WsTunnelError} 502, 503 or 504, depending on the failure.
 */
export async function nativeRoundTrip(
  worker: Worker,
  request: RequestHead,
  options: RoundTripOptions<NativeLimits>,
): Promise<BackendResponse | NativeSwitched> {
  const startedAt = performance.now()
  const { host, address = host } = worker.origin
  const lookup = isIP(address) === 0 ? await lookUp(worker, options) : undefined
  const head = requestHead(request)
  const only = lookup === undefined ? address : lookup.only
  const result =
    head === undefined || only === undefined ? undefined : await connectAndSend(worker, only, head, options, startedAt)
  if (result !== undefined && 'connection' in result) return result
  const remaining = { ...options, limits: { ...options.limits, spent: performance.now() - startedAt } }
  if (result !== undefined) return nodeRoundTrip(worker, request, remaining, () => alreadySent(result.socket))
  return nodeRoundTrip(worker, request, remaining, {
    ...worker.connectOptions,
    ...(lookup && { lookup: lookup.again }),
  })
}

/** The result of a DNS lookup. */
interface Lookup {
  /** The address, if the name has only one. */
  readonly only: string | undefined
  /** Gives the same result to Node. */
  readonly again: LookupFunction
}

/** Looks up the backend's name as `net.connect` does. */
async function lookUp({ origin, connectOptions }: Worker, { limits, signal }: RoundTripOptions): Promise<Lookup> {
  const { promise, resolve, reject } = Promise.withResolvers<Lookup>()
  const started = startLimits(limits, () => false, 0, reject)
  const lookup = connectOptions.lookup ?? (systemLookup as LookupFunction)
  lookup(origin.host, { hints: ADDRCONFIG, all: getDefaultAutoSelectFamily() }, (error, found, family) => {
    if (error) reject(backendError(error))
    else {
      const [first, ...others] = Array.isArray(found) ? found : [{ address: found }]
      const only = others.length === 0 ? first?.address : undefined
      resolve({ only, again: (_host, _options, done) => done(null, found, family) })
    }
  })
  try {
    return await unlessAborted(signal, promise)
  } finally {
    for (const limit of started) limit.stop()
  }
}

/** @returns `undefined` if no native connection could be started. */
function connectAndSend(
  { origin: { port } }: Worker,
  address: string,
  head: string,
  { limits, signal }: RoundTripOptions<NativeLimits>,
  startedAt: number,
): Promise<NativeSwitched | Unread | undefined> {
  return new Promise((resolve, reject) => {
    let stop = (): void => {}
    const settled = (): void => {
      stop()
      for (const limit of started) limit.stop()
    }
    const fail = (error: Error): void => {
      settled()
      connection?.destroy()
      reject(error)
    }
    const connection = NativeConnection.start(address, port, head, limits, {
      onResponse: text => {
        const established = connection as NativeConnection
        settled()
        const read = readSwitch(text)
        if (read === undefined) resolve({ socket: established.toSocket(0) })
        else resolve({ switched: true, response: read.head, connection: established, headSize: read.size })
      },
      onFailed: error => fail(roundTripError(error, error.syscall !== 'connect', false)),
    })
    if (connection === undefined) {
      resolve(undefined)
      return
    }
    const spent = performance.now() - startedAt
    const started = startLimits(
      limits,
      () => connection.connected,
      spent,
      fail,
      then => connection.look(then),
    )
    stop = onAbort(signal, fail)
  })
}

/**
 * @param spent ms of the limits that have passed
 * @param look option of {@link Countdown}
 */
function startLimits(
  { connectTimeout, handshakeTimeout }: Limits,
  isConnected: () => boolean,
  spent: number,
  onTimeout: (error: Error) => void,
  look?: (then: () => void) => void,
): Countdown[] {
  const start = (ms: number, isDue: (connected: boolean) => boolean): Countdown => {
    const onReached = (): void => {
      const connected = isConnected()
      if (isDue(connected)) onTimeout(timeoutError(connected, ms))
    }
    return new Countdown(Math.max(0, ms - spent), onReached, { look })
  }
  const limits: Countdown[] = []
  if (handshakeTimeout > 0) limits.push(start(handshakeTimeout, () => true))
  if (connectTimeout > 0) limits.push(start(connectTimeout, connected => !connected))
  return limits
}
