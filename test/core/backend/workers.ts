import { getEventListeners } from 'node:events'
import type { TestContext } from 'node:test'
import type { NativeLimits } from '../../../packages/core/src/backend/native-round-trip.ts'
import type { RoundTripOptions } from '../../../packages/core/src/backend/node-round-trip.ts'
import { parseTarget } from '../../../packages/core/src/backend/target.ts'
import { Worker } from '../../../packages/core/src/backend/worker.ts'
import type { RequestHead } from '../../../packages/core/src/http/request-head.ts'
import type { Script } from '../../support/backend.ts'
import { startBackend } from '../../support/harness.ts'

/** A worker for a URL, closed when the test has ended. */
export function workerOf(
  t: TestContext,
  url: string,
  more: Partial<ConstructorParameters<typeof Worker>[1]> = {},
): Worker {
  const { origin } = parseTarget(url, { groups: false, params: [] })
  const worker = new Worker(origin, { tls: {}, lookup: undefined, keepAlive: 0, ...more })
  t.after(() => worker.close())
  return worker
}

/** A worker for the scripted backend. */
export async function workerBefore(t: TestContext, script: Script) {
  const backend = await startBackend(t, script)
  return { backend, worker: workerOf(t, `ws://${backend.address}/`) }
}

export const REQUEST: RequestHead = {
  method: 'GET',
  path: '/a?b',
  headers: ['Host', 'b.test', 'Connection', 'Upgrade', 'Upgrade', 'websocket'],
}

/** Options without time limits, with the statuses of the interim responses that came. */
export function optionsOf(signal: AbortSignal, limits: Partial<NativeLimits> = {}) {
  const interim: number[] = []
  const options: RoundTripOptions<NativeLimits> = {
    limits: { connectTimeout: 0, handshakeTimeout: 0, async: true, asyncDelay: 0, keepAlive: 0, threads: 1, ...limits },
    signal,
    onInterim: ({ statusCode }) => interim.push(statusCode),
  }
  return { options, interim }
}

export const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length
