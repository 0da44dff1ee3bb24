import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * The request and response of a connection that has switched. They are most of the memory that an open tunnel would
 * hold, so each is retained only if its `close` event has a listener, now or later.
 */
export class SwitchedResponse {
  #req: IncomingMessage | undefined
  #res: ServerResponse | undefined

  constructor(res: ServerResponse) {
    const { req } = res
    retainIfListened(res, (retained: ServerResponse) => {
      this.#res = retained
    })
    retainIfListened(req, (retained: IncomingMessage) => {
      this.#req = retained
    })
  }

  /** Closes both, as Node does when their socket closes. */
  readonly close = (): void => {
    const req = this.#res?.req ?? this.#req
    req?.destroy()
    this.#res?.emit('close')
  }
}

function retainIfListened<T extends EventEmitter>(emitter: T, retain: (emitter: T) => void): void {
  if (emitter.listenerCount('close') > 0) {
    retain(emitter)
    return
  }
  emitter.on('newListener', function (this: T, event: string | symbol): void {
    if (event === 'close') retain(this)
  })
}
