import type { AdoptedEnds, Engine, EngineLimits, EngineListener, NativeEnds, TunnelEnds } from './engine.ts'
import type { Frames } from './frame-tracker.ts'
import { HandOverEngine } from './hand-over-engine.ts'
import { JsEngine } from './js-engine.ts'
import { moves } from './moves.ts'
import { NativeEngine } from './native-engine.ts'
import { canOffload, canOffloadClient, isReady, unread } from './offloading.ts'

/**
 * Chooses the engine of a tunnel:
 *
 * - a thread at once, if the ends allow it and `asyncDelay` is 0 (`NativeEngine`)
 * - JavaScript first and a thread later, if only `asyncDelay` or unwritten bytes prevent a thread now (`HandOverEngine`)
 * - JavaScript first, and a thread when another process takes the tunnel over, if a thread is not wanted and the process
 *   hands its tunnels over (`HandOverEngine`)
 * - JavaScript until the end, if the ends do not allow a thread, or descriptors or memory have run out (`JsEngine`)
 *
 * `frames` are followed, for {@link Engine.end}. The caller must call {@link Engine.start} in the same turn of the event loop.
 */
export function openEngine(
  ends: TunnelEnds | NativeEnds | AdoptedEnds,
  limits: EngineLimits,
  listener: EngineListener,
  frames?: Frames,
): Engine {
  if ('adopted' in ends) {
    ends.adopted.listen(listener)
    return ends.adopted
  }
  if ('connection' in ends) return openAttached(ends, limits, listener, frames)
  const { async } = limits
  if (!(async || moves.tunnels) || !canOffload(ends)) return new JsEngine(ends, limits.keepAlive, listener, frames)
  if (!async || limits.asyncDelay > 0 || !isReady(ends)) return new HandOverEngine(ends, limits, listener, frames)
  const complete = {
    ...ends,
    clientHead: [...ends.clientHead, ...unread(ends.client)],
    backendHead: [...ends.backendHead, ...unread(ends.backend)],
  }
  const native = NativeEngine.adopt(complete, limits, listener, frames)
  return native ?? new JsEngine(complete, limits.keepAlive, listener, frames)
}

/** Attaches the client to the thread's connection. If that is not possible, the connection becomes a socket of Node. */
function openAttached(ends: NativeEnds, limits: EngineLimits, listener: EngineListener, frames?: Frames): Engine {
  const { client, connection, headSize, unsentHead, response } = ends
  let { clientHead } = ends
  if (canOffloadClient(ends)) {
    clientHead = [...clientHead, ...unread(client)]
    const engine = NativeEngine.attach({ ...ends, clientHead }, listener, frames)
    if (engine !== undefined) return engine
  }
  if (unsentHead !== undefined) client.write(unsentHead, 'latin1')
  const backend = connection.toSocket(headSize)
  return openEngine({ client, clientHead, backend, backendHead: [], response }, limits, listener, frames)
}
