/** One setting as it is kept: its name, and its value behind the stamp of its time. */
export type Entry = readonly [key: string, text: string]

/** What a store tells. */
export interface StoreEvents {
  /** It is connected, and this is everything in it. Also told again and again, if the store likes. */
  all(entries: readonly Entry[]): void
  /** This has changed in it. */
  some(entries: readonly Entry[]): void
  /** It cannot be reached, and tries again by itself. */
  away(error: Error): void
}

/** A store in use. */
export interface OpenStore {
  /**
   * Keeps the entries, but for those of which it has a newer text: of two texts under one key the greater is the newer.
   *
   * @throws where they could not be kept; they come again after the next `all`.
   */
  save(entries: readonly Entry[]): Promise<void>
  /** Lets go of everything; nothing is told after it. */
  close(): Promise<void>
}

/** Where processes share what operators set. */
export interface Store {
  /** What people call it. */
  readonly name: string
  /** Starts to use it; it may be opened many times. */
  open(events: StoreEvents): OpenStore
}

/** Entries by key, of which the newest stay. */
export class Entries {
  readonly #texts = new Map<string, string>()

  get all(): readonly Entry[] {
    return [...this.#texts]
  }

  /** @returns what was news. */
  keep(entries: readonly Entry[]): readonly Entry[] {
    const news = entries.filter(([key, text]) => (this.#texts.get(key) ?? '') < text)
    for (const [key, text] of news) this.#texts.set(key, text)
    return news
  }
}

/** Shares settings within this process, as long as it lives. */
export function memoryStore(): Store {
  const entries = new Entries()
  const users = new Set<StoreEvents>()
  return {
    name: 'memory',
    open(events) {
      users.add(events)
      queueMicrotask(() => {
        if (users.has(events)) events.all(entries.all)
      })
      return {
        async save(changed) {
          const news = entries.keep(changed)
          for (const user of users) if (user !== events) user.some(news)
        },
        async close() {
          users.delete(events)
        },
      }
    },
  }
}
