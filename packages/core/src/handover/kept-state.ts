/** What another package keeps through a hand-over. Both functions are called at most once in a process. */
export interface Kept {
  /** Returns what the next process needs, as values of JSON. */
  save(): unknown
  /** Gets what {@link save} of the process before this one has returned, before this process serves its first request. */
  restore(value: unknown): void
}

const all = new Map<string, Kept>()

/** What came for a key before there was anything to restore it to. */
const early = new Map<string, unknown>()

/**
 * Keeps a state through a hand-over (option `handover`), beside the states of the members, which are kept anyway.
 *
 * @param key the same in both processes
 * @returns a function that undoes the call
 */
export function keepThroughHandover(key: string, kept: Kept): () => void {
  all.set(key, kept)
  if (early.has(key)) {
    kept.restore(early.get(key))
    early.delete(key)
  }
  return () => {
    if (all.get(key) === kept) all.delete(key)
  }
}

export function saveKept(): Record<string, unknown> {
  return Object.fromEntries(Array.from(all, ([key, kept]) => [key, kept.save()]))
}

export function restoreKept(values: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(values)) {
    const kept = all.get(key)
    if (kept === undefined) early.set(key, value)
    else kept.restore(value)
  }
}
