import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Request and answer of a connection that has switched. They are most of what an open tunnel would hold, so each is kept
 * only if somebody listens to its `close`, now or later.
 */
export class SwitchedAnswer {
  #req: IncomingMessage | undefined
  #res: ServerResponse | undefined

  constructor(res: ServerResponse) {
    const { req } = res
    keepOnceHeard(res, (kept: ServerResponse) => {
      this.#res = kept
    })
    keepOnceHeard(req, (kept: IncomingMessage) => {
      this.#req = kept
    })
  }

  /** Closes both, as their socket would have. */
  readonly close = (): void => {
    const req = this.#res?.req ?? this.#req
    req?.destroy()
    this.#res?.emit('close')
  }
}

function keepOnceHeard<T extends EventEmitter>(emitter: T, keep: (emitter: T) => void): void {
  if (emitter.listenerCount('close') > 0) {
    keep(emitter)
    return
  }
  emitter.on('newListener', function (this: T, event: string | symbol): void {
    if (event === 'close') keep(this)
  })
}
