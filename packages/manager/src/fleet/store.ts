/** One setting in a store: its name, and its value after the stamp of its time. */
export type Entry = readonly [key: string, text: string]

/** What a store reports. */
export interface StoreEvents {
  /**
   * The store is connected, and has these entries and no others. A store may call it again at any time.
   *
   * @param wasDeleted whether all earlier entries were deleted on purpose since the last call. Otherwise entries that the
   *   store does not have were lost, and are saved again.
   */
  all(entries: readonly Entry[], wasDeleted?: boolean): void
  /** These entries have changed. */
  some(entries: readonly Entry[]): void
  /** The store cannot be reached. It tries again by itself. */
  away(error: Error): void
}

/** A store in use. */
export interface OpenStore {
  /**
   * Saves entries. Of two texts under one key the store keeps the greater one, which is the newer one.
   *
   * @throws {Error} if the entries cannot be saved. The caller saves them again after the next `all`.
   */
  save(entries: readonly Entry[]): Promise<void>
  /** Removes entries that no longer count, unless their text has changed. A store without it keeps them. */
  remove?(entries: readonly Entry[]): Promise<void>
  /** Ends the connection. The store reports nothing after it. */
  close(): Promise<void>
}

/** Where processes share the settings of operators. */
export interface Store {
  /** The name of the store for people, such as `redis`. */
  readonly name: string
  /** Opens the store. It may be opened several times. */
  open(events: StoreEvents): OpenStore
}

/** The newest entry of each key. */
export class Entries {
  readonly #texts = new Map<string, string>()

  get all(): readonly Entry[] {
    return [...this.#texts]
  }

  /** @returns the entries that were newer than the known ones. */
  keep(entries: readonly Entry[]): readonly Entry[] {
    const newer = entries.filter(([key, text]) => (this.#texts.get(key) ?? '') < text)
    for (const [key, text] of newer) this.#texts.set(key, text)
    return newer
  }

  remove(entries: readonly Entry[]): void {
    for (const [key, text] of entries) if (this.#texts.get(key) === text) this.#texts.delete(key)
  }
}

/** Shares settings within this process. They are lost when the process ends. */
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
          const newer = entries.keep(changed)
          for (const user of users) if (user !== events) user.some(newer)
        },
        async remove(outdated) {
          entries.remove(outdated)
        },
        async close() {
          users.delete(events)
        },
      }
    },
  }
}
