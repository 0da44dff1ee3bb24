import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { DetachableResponse } from '../tunnel/engine.ts'

/**
 * Key under which a socket, and a request and response without a listener, refer to their `SwitchedResponse`. All share the
 * listeners below, because closures for each tunnel would cost memory.
 */
const SWITCHED = Symbol('ws-tunnel.switched')

type Switched = { [SWITCHED]?: SwitchedResponse | undefined }

function socketOnClose(this: Socket & Switched): void {
  this[SWITCHED]?.close()
}

const ENDS: ReadonlySet<string | symbol> = new Set(['close', 'finish'])

function emitterOnNewListener(this: EventEmitter & Switched, event: string | symbol): void {
  if (ENDS.has(event)) this[SWITCHED]?.retain(this)
}

/**
 * The request and response of a connection that has switched. They are most of the memory that an open tunnel would
 * hold, so each is retained only if its `close` or `finish` event has a listener, now or later.
 */
export class SwitchedResponse implements DetachableResponse {
  #req: IncomingMessage | undefined
  #res: ServerResponse | undefined
  /** Listeners of the app to the `close` of the detached socket. */
  #waiting: { readonly socket: Socket; readonly listeners: readonly unknown[] } | undefined

  /** @param socket closes both when it closes, until {@link detach} is called. */
  constructor(res: ServerResponse, socket: Socket) {
    this.#watch(res)
    this.#watch(res.req)
    ;(socket as Switched)[SWITCHED] = this
    socket.on('close', socketOnClose)
  }

  #watch(emitter: EventEmitter & Switched): void {
    if (emitter.listenerCount('close') + emitter.listenerCount('finish') > 0) {
      this.retain(emitter)
      return
    }
    emitter[SWITCHED] = this
    emitter.on('newListener', emitterOnNewListener)
  }

  /** Called with the request or the response when its end has a listener. */
  retain(emitter: EventEmitter): void {
    if ('req' in emitter) this.#res = emitter as ServerResponse
    else this.#req = emitter as IncomingMessage
  }

  /**
   * Frees the socket, which is destroyed although its connection lives on. Loggers that listen to its `close` are called when
   * the tunnel ends.
   */
  detach(socket: Socket): void {
    socket.off('close', socketOnClose)
    ;(socket as Switched)[SWITCHED] = undefined
    // In a moment, and before Node emits `close`: the engine before the addon removes its listeners only now.
    if (socket.listenerCount('close') > 0) process.nextTick(holdListeners, this, socket)
  }

  /** Holds the listeners to the `close` of a socket back until the tunnel ends. */
  hold(socket: Socket): void {
    this.#waiting = { socket, listeners: socket.rawListeners('close') }
    socket.removeAllListeners('close')
  }

  /** Ends both as if the response had been written, so that loggers do not take the tunnel for an aborted request. */
  close(): void {
    const res = this.#res
    const req = res?.req ?? this.#req
    if (res !== undefined) {
      // `writableEnded` is true then. The method `end` does nothing since the switch.
      ;(res as { finished: boolean }).finished = true
      res.emit('finish')
    }
    if (req !== undefined) endRequest(req)
    res?.emit('close')
    const waiting = this.#waiting
    this.#waiting = undefined
    for (const listener of waiting?.listeners ?? [])
      (listener as (hadError: boolean) => void).call(waiting?.socket, false)
  }
}

function holdListeners(response: SwitchedResponse, socket: Socket): void {
  response.hold(socket)
}

/** Destroys a request after its `end`: Node would report an unread request as aborted. */
function endRequest(req: IncomingMessage): void {
  if (req.readableEnded) {
    req.destroy()
    return
  }
  req.complete = true
  req.push(null)
  req.once('end', requestOnEnd).resume()
}

function requestOnEnd(this: IncomingMessage): void {
  this.destroy()
}
