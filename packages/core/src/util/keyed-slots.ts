import { WsTunnelError } from '../errors.ts'
import type { Release } from './slots.ts'

/** Slots for tunnels, so many for each key. */
export class KeyedSlots {
  readonly #limit: number
  /** The keys that have slots in use. */
  readonly #inUse = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT` with the status 429 if all slots of the key are in use. */
  acquire(key: string): Release {
    if ((this.#inUse.get(key) ?? 0) >= this.#limit) {
      const detail = `maxTunnelsPerKey is ${this.#limit}`
      throw new WsTunnelError('WST_ERR_TUNNEL_LIMIT', { detail, statusCode: 429 })
    }
    return this.acquireAnyway(key)
  }

  /** Acquires a slot even if all of the key are in use, for a tunnel that is open already. */
  acquireAnyway(key: string): Release {
    this.#inUse.set(key, (this.#inUse.get(key) ?? 0) + 1)
    let acquired = true
    return () => {
      if (!acquired) return
      acquired = false
      const left = (this.#inUse.get(key) ?? 0) - 1
      if (left > 0) this.#inUse.set(key, left)
      else this.#inUse.delete(key)
    }
  }
}
