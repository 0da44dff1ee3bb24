import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  cut,
  type FinalHead,
  type HeaderList,
  IncomingResponse,
  onAbort,
  type PlainTrip,
  type ServedResponse,
} from '@ws-tunnel/core/engine'
import { ServedHeadEditor } from './served-head.ts'

type Fail = (error: unknown) => void

/** How to fail a response that a function of the app is about to write. */
const failing = new WeakMap<ServerResponse, Fail>()

/** Takes a failure to the app's error handler. Returns `false` if no function of the app is about to write the response. */
export function failServing(res: ServerResponse, error: unknown): boolean {
  const fail = failing.get(res)
  fail?.(error)
  return fail !== undefined
}

/** A response that the listeners of `proxyRes` write to `res`. */
export class SelfHandledResponse extends IncomingResponse implements ServedResponse {
  readonly #message: IncomingMessage
  readonly #trip: PlainTrip
  readonly #emit: () => void

  constructor(message: IncomingMessage, trip: PlainTrip, emit: () => void) {
    super(message)
    this.#message = message
    this.#trip = trip
    this.#emit = emit
  }

  async serve(headers: (head: FinalHead) => HeaderList): Promise<void> {
    const message = this.#message
    const { res, signal } = this.#trip
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const editor = new ServedHeadEditor(res, message, headers, reject)
    const stop = onAbort(signal, reject)
    failing.set(res, reject)
    res.on('close', resolve)
    // These listeners run before those of the function: it must not make a whole response of a part.
    message.prependListener('error', () => cut(res))
    message.prependListener('close', () => {
      if (!message.complete && !res.writableEnded) cut(res)
    })
    try {
      if (res.destroyed) return
      this.#emit()
      await promise
    } catch (error) {
      editor.undo()
      if (res.headersSent) cut(res)
      throw error
    } finally {
      failing.delete(res)
      stop()
      res.off('close', resolve)
      message.destroy()
    }
  }
}

/** A response that a listener of `proxyRes` has begun, although `selfHandleResponse` is not set. The body is added to it. */
export class BegunResponse extends IncomingResponse implements ServedResponse {
  readonly #message: IncomingMessage
  readonly #res: ServerResponse

  constructor(message: IncomingMessage, { res }: PlainTrip) {
    super(message)
    this.#message = message
    this.#res = res
  }

  async serve(): Promise<void> {
    const message = this.#message
    const res = this.#res
    message.prependListener('close', () => {
      if (!message.complete && !res.writableEnded) cut(res)
    })
    if (!res.writableEnded) message.pipe(res)
    if (!res.closed) await new Promise<void>(resolve => res.once('close', resolve))
    message.destroy()
  }
}
