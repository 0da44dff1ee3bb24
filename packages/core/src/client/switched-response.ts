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

function emitterOnNewListener(this: EventEmitter & Switched, event: string | symbol): void {
  if (event === 'close') this[SWITCHED]?.retain(this)
}

/**
 * The request and response of a connection that has switched. They are most of the memory that an open tunnel would
 * hold, so each is retained only if its `close` event has a listener, now or later.
 */
export class SwitchedResponse implements DetachableResponse {
  #req: IncomingMessage | undefined
  #res: ServerResponse | undefined

  /** @param socket closes both when it closes, until {@link detach} is called. */
  constructor(res: ServerResponse, socket: Socket) {
    this.#watch(res)
    this.#watch(res.req)
    ;(socket as Switched)[SWITCHED] = this
    socket.on('close', socketOnClose)
  }

  #watch(emitter: EventEmitter & Switched): void {
    if (emitter.listenerCount('close') > 0) {
      this.retain(emitter)
      return
    }
    emitter[SWITCHED] = this
    emitter.on('newListener', emitterOnNewListener)
  }

  /** Called with the request or the response when its `close` event has a listener. */
  retain(emitter: EventEmitter): void {
    if ('req' in emitter) this.#res = emitter as ServerResponse
    else this.#req = emitter as IncomingMessage
  }

  detach(socket: Socket): void {
    socket.off('close', socketOnClose)
    ;(socket as Switched)[SWITCHED] = undefined
  }

  /** Closes both, as Node does when their socket closes. */
  close(): void {
    const req = this.#res?.req ?? this.#req
    req?.destroy()
    this.#res?.emit('close')
  }
}
