/**
 * Calls `listener` with the reason when the signal is aborted, at once if it is aborted already.
 *
 * @returns the function that removes the listener.
 */
export function onAbort(signal: AbortSignal, listener: (reason: Error) => void): () => void {
  if (signal.aborted) {
    listener(signal.reason)
    return () => {}
  }
  const signalOnAbort = (): void => listener(signal.reason)
  signal.addEventListener('abort', signalOnAbort, { once: true })
  return () => signal.removeEventListener('abort', signalOnAbort)
}

/** Settles as `value` does. Rejects with the signal's reason if the signal is aborted first. */
export async function unlessAborted<T>(signal: AbortSignal, value: T | Promise<T>): Promise<T> {
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
