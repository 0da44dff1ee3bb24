/** What ends a piece of work early: an `AbortSignal`, or a {@link Cancellation}, which costs less. */
export interface CancelSignal {
  readonly aborted: boolean
  readonly reason: NodeJS.ErrnoException
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: AbortListener, options?: { once: boolean }): void
  removeEventListener(type: 'abort', listener: AbortListener): void
}

/** A function, or an object with the method that an `AbortSignal` calls too. An object needs no closure. */
export type AbortListener = (() => void) | { handleEvent(): void }

const NOT_ABORTED = new Error('not aborted')

/** An `AbortController` and its signal in one, without the events. Each request has one. */
export class Cancellation implements CancelSignal {
  aborted = false
  reason: NodeJS.ErrnoException = NOT_ABORTED
  /** Most requests have one listener at a time, which needs no list. */
  #listener: AbortListener | undefined
  #others: AbortListener[] | undefined

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  /** Each listener is called once. */
  addEventListener(_type: 'abort', listener: AbortListener): void {
    if (this.#listener === undefined) this.#listener = listener
    else if (this.#others === undefined) this.#others = [listener]
    else this.#others.push(listener)
  }

  removeEventListener(_type: 'abort', listener: AbortListener): void {
    if (this.#listener === listener) this.#listener = undefined
    else this.#others = this.#others?.filter(each => each !== listener)
  }

  /** The first call counts. */
  abort(reason: Error): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const listeners = [this.#listener, ...(this.#others ?? [])]
    this.#listener = this.#others = undefined
    for (const listener of listeners) {
      if (typeof listener === 'function') listener()
      else listener?.handleEvent()
    }
  }
}

/**
 * Calls `listener` with the reason when the signal is aborted, at once if it is aborted already.
 *
 * @returns the function that removes the listener.
 */
export function onAbort(signal: CancelSignal, listener: (reason: Error) => void): () => void {
  if (signal.aborted) {
    listener(signal.reason)
    return () => {}
  }
  const signalOnAbort = (): void => listener(signal.reason)
  signal.addEventListener('abort', signalOnAbort, { once: true })
  return () => signal.removeEventListener('abort', signalOnAbort)
}

/** Settles as `value` does. Rejects with the signal's reason if the signal is aborted first. */
export async function unlessAborted<T>(signal: CancelSignal, value: T | Promise<T>): Promise<T> {
  if (signal.aborted) {
    // A later rejection of the value has no other handler.
    if (value instanceof Promise) value.catch(() => {})
    throw signal.reason
  }
  if (!(value instanceof Promise)) return value
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const stop = onAbort(signal, reject)
  try {
    return await Promise.race([value, aborted])
  } finally {
    stop()
  }
}
