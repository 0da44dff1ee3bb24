import { ADDRCONFIG, lookup as systemLookup } from 'node:dns'
import { getDefaultAutoSelectFamily, isIP, type LookupFunction, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { type Ask, requestHead } from '../http/request-head.ts'
import { type AnswerHead, readSwitch } from '../http/response-head.ts'
import { descriptor, loadNativeAddon } from '../tunnel/native-addon.ts'
import { NativeConnection } from '../tunnel/native-connection.ts'
import { backendError, type Limits, late, tripError } from './request-limits.ts'
import { type Answer, asked, roundTrip } from './round-trip.ts'
import type { TripWatcher } from './socket-trip.ts'
import type { Worker } from './worker.ts'

/** What makes a tunnel one that leaves JavaScript at once. */
export interface DialLimits extends Limits {
  readonly async: boolean
  readonly asyncDelay: number
  readonly keepAlive: number
  readonly threads: number
}

/** A switch whose backend is a thread's. */
export interface DialledSwitch {
  readonly switched: true
  readonly response: AnswerHead
  readonly connection: NativeConnection
  /** Bytes of its answer that are the head. */
  readonly headSize: number
}

/** What a thread could do: ask and hear of a switch, ask and hear of something that Node's parser has to read, or nothing. */
type Dialled = DialledSwitch | { readonly socket: Socket } | { readonly lookup: LookupFunction | undefined }

/** Whether a thread may do it: client and backend are plain, and the tunnel would leave JavaScript at once. */
export function mayDial(worker: Worker, client: Socket | undefined, { async, asyncDelay }: DialLimits): boolean {
  const { secure, socketPath } = worker.origin
  if (!async || asyncDelay > 0 || secure || socketPath !== undefined) return false
  return client !== undefined && descriptor(client) !== undefined && loadNativeAddon() !== null
}

/**
 * One upgrade request to one worker, made by a thread of `@ws-tunnel/native`. A backend with several addresses, a request and an
 * answer out of the ordinary are left to Node.
 *
 * @throws {WsTunnelError} 502, 503 or 504 by what went wrong.
 */
export async function dialledTrip(
  worker: Worker,
  ask: Ask,
  limits: DialLimits,
  watcher: TripWatcher,
): Promise<Answer | DialledSwitch> {
  const startedAt = performance.now()
  const dialled = await dial(worker, ask, limits, watcher)
  if ('connection' in dialled) return dialled
  const left = { ...limits, spent: performance.now() - startedAt }
  if ('socket' in dialled) return roundTrip(worker, ask, left, watcher, () => asked(dialled.socket))
  const { lookup } = dialled
  return roundTrip(worker, ask, left, watcher, { ...worker.connectOptions, ...(lookup && { lookup }) })
}

function dial(worker: Worker, ask: Ask, limits: DialLimits, watcher: TripWatcher): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    let asking: NativeConnection | undefined
    let over = false
    const connected = (): boolean => asking?.connected === true
    const timers = [give(limits.handshakeTimeout, () => true), give(limits.connectTimeout, () => !connected())]
    function give(ms: number, due: () => boolean): NodeJS.Timeout | undefined {
      return ms === 0 ? undefined : setTimeout(() => due() && fail(late(connected(), ms)), ms)
    }
    function settle(dialled: Dialled): void {
      over = true
      for (const timer of timers) clearTimeout(timer)
      resolve(dialled)
    }
    function fail(error: Error): void {
      over = true
      for (const timer of timers) clearTimeout(timer)
      asking?.destroy()
      reject(error)
    }
    watcher.started({ destroy: fail })

    const question = requestHead(ask)
    const { host, address: there = host, port } = worker.origin
    const start = (address: string, lookup: LookupFunction | undefined): void => {
      asking =
        question === undefined
          ? undefined
          : NativeConnection.start(address, port, question, limits, {
              onResponse: text => {
                const read = readSwitch(text)
                const answered = asking as NativeConnection
                if (read === undefined) settle({ socket: answered.toSocket(0) })
                else settle({ switched: true, response: read.head, connection: answered, headSize: read.size })
              },
              onFailed: error => fail(tripError(error, error.syscall !== 'connect', false)),
            })
      if (asking === undefined) settle({ lookup })
    }
    if (isIP(there) !== 0) start(there, undefined)
    else
      find(worker, (error, found, family) => {
        if (over) return
        if (error) fail(backendError(error))
        else {
          const [first, ...others] = Array.isArray(found) ? found : [{ address: found }]
          const known: LookupFunction = (_host, _options, done) => done(null, found, family)
          if (first !== undefined && others.length === 0) start(first.address, known)
          else settle({ lookup: known })
        }
      })
  })
}

/** Looks the backend up as `net.connect` does. */
function find({ origin, connectOptions }: Worker, done: Parameters<LookupFunction>[2]): void {
  const lookup = connectOptions.lookup ?? (systemLookup as LookupFunction)
  lookup(origin.host, { hints: ADDRCONFIG, all: getDefaultAutoSelectFamily() }, done)
}
