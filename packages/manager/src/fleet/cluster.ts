import cluster, { type Worker } from 'node:cluster'
import { Entries, type Entry, type OpenStore, type Store, type StoreEvents } from './store.ts'

/** Options of the store in a worker and of its other side in the primary. They must be the same. */
export interface ClusterStoreOptions {
  /**
   * The name of the store. Set it if a cluster has several stores.
   *
   * @default 'ws-tunnel'
   */
  key?: string
}

/** A message between a worker and the primary. */
interface ClusterMessage {
  readonly wsTunnelStore: string
  readonly type: 'ready' | 'open' | 'save' | 'remove' | 'close' | 'all' | 'some' | 'saved'
  readonly entries?: readonly Entry[]
  /** The number of a `save`, which its `saved` repeats. */
  readonly id?: number
}

/** Milliseconds after which a primary that has not responded counts as away. Then the worker sends `open` again. */
const RESPONSE_TIMEOUT = 1_000

function isMessage(message: unknown, key: string): message is ClusterMessage {
  return typeof message === 'object' && message !== null && (message as ClusterMessage).wsTunnelStore === key
}

/**
 * Keeps the settings of the workers in the primary process of `node:cluster`. A worker that starts later gets them too.
 *
 * @returns an object that stops it.
 */
export function serveClusterStore({ key = 'ws-tunnel' }: ClusterStoreOptions = {}): { close(): void } {
  const entries = new Entries()
  const users = new Set<Worker>()
  const send = (worker: Worker, message: Omit<ClusterMessage, 'wsTunnelStore'>): void => {
    if (worker.isConnected()) worker.send({ wsTunnelStore: key, ...message }, () => {})
  }
  const workerOnMessage = (worker: Worker, message: unknown): void => {
    if (!isMessage(message, key)) return
    if (message.type === 'open') {
      users.add(worker)
      send(worker, { type: 'all', entries: entries.all })
    } else if (message.type === 'save') {
      const newer = entries.keep(message.entries ?? [])
      for (const user of users) if (user !== worker && newer.length > 0) send(user, { type: 'some', entries: newer })
      send(worker, { type: 'saved', ...(message.id !== undefined && { id: message.id }) })
    } else if (message.type === 'remove') entries.remove(message.entries ?? [])
    else if (message.type === 'close') users.delete(worker)
  }
  const workerOnDisconnect = (worker: Worker): void => void users.delete(worker)
  cluster.on('message', workerOnMessage).on('disconnect', workerOnDisconnect)
  for (const worker of Object.values(cluster.workers ?? {})) if (worker !== undefined) send(worker, { type: 'ready' })
  return { close: () => void cluster.off('message', workerOnMessage).off('disconnect', workerOnDisconnect) }
}

/**
 * Shares settings among the workers of `node:cluster`, through the primary process, which calls `serveClusterStore`.
 *
 * @throws {Error} in a process that is not a worker.
 */
export function clusterStore({ key = 'ws-tunnel' }: ClusterStoreOptions = {}): Store {
  if (!cluster.isWorker)
    throw new Error('Expected to be in a worker of node:cluster; the primary calls serveClusterStore()')
  return { name: 'cluster', open: events => new OpenClusterStore(key, events) }
}

class OpenClusterStore implements OpenStore {
  readonly #key: string
  readonly #events: StoreEvents
  readonly #saves = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()
  #lastId = 0
  /** Runs while the primary has to respond. */
  #timer: NodeJS.Timeout | undefined

  constructor(key: string, events: StoreEvents) {
    this.#key = key
    this.#events = events
    process.on('message', this.#primaryOnMessage).on('disconnect', this.#primaryOnDisconnect)
    this.#send({ type: 'open' })
  }

  save(entries: readonly Entry[]): Promise<void> {
    if (!process.connected) return Promise.reject(new Error('The primary is gone'))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const id = ++this.#lastId
    this.#saves.set(id, { resolve, reject })
    this.#send({ type: 'save', entries, id })
    return promise
  }

  /** The primary does not respond to it. */
  async remove(entries: readonly Entry[]): Promise<void> {
    if (process.connected)
      process.send?.({ wsTunnelStore: this.#key, type: 'remove', entries }, undefined, undefined, () => {})
  }

  async close(): Promise<void> {
    this.#send({ type: 'close' })
    process.off('message', this.#primaryOnMessage).off('disconnect', this.#primaryOnDisconnect)
    this.#fail(new Error('The store is closed'))
  }

  readonly #primaryOnMessage = (message: unknown): void => {
    if (!isMessage(message, this.#key)) return
    if (message.type === 'ready') this.#send({ type: 'open' })
    else if (message.type === 'some') this.#events.some(message.entries ?? [])
    else if (message.type === 'all') {
      this.#stopTimer()
      this.#events.all(message.entries ?? [])
    } else if (message.type === 'saved') {
      this.#saves.get(message.id ?? 0)?.resolve()
      this.#saves.delete(message.id ?? 0)
      if (this.#saves.size === 0) this.#stopTimer()
    }
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The primary may call `serveClusterStore` after its workers have started, and may stop it before they end. */
  readonly #primaryOnTimeout = (): void => {
    this.#primaryOnDisconnect()
    this.#send({ type: 'open' })
  }

  readonly #primaryOnDisconnect = (): void => {
    const [state, code] = process.connected ? ['does not respond', 'NO_RESPONSE'] : ['is gone', 'GONE']
    const error = Object.assign(new Error(`The primary ${state}`), { code })
    this.#fail(error)
    this.#events.away(error)
  }

  #fail(error: Error): void {
    this.#stopTimer()
    for (const { reject } of this.#saves.values()) reject(error)
    this.#saves.clear()
  }

  #send(message: Omit<ClusterMessage, 'wsTunnelStore'>): void {
    // The channel may close at any time. The `disconnect` event reports that.
    if (!process.connected) return
    this.#timer ??= setTimeout(this.#primaryOnTimeout, RESPONSE_TIMEOUT).unref()
    process.send?.({ wsTunnelStore: this.#key, ...message }, undefined, undefined, () => {})
  }
}
