import cluster, { type Worker } from 'node:cluster'
import { Entries, type Entry, type OpenStore, type Store, type StoreEvents } from './store.ts'

/** Options of both sides. */
export interface ClusterStoreOptions {
  /** Tells apart several stores of one cluster. @default 'ws-tunnel' */
  key?: string
}

/** A message between a worker and the primary. */
interface ClusterMessage {
  readonly wsTunnelStore: string
  readonly say: 'ready' | 'open' | 'save' | 'close' | 'all' | 'some' | 'saved'
  readonly entries?: readonly Entry[]
  /** Number of a `save`, and of its answer. */
  readonly id?: number
}

/** ms that the primary has for an answer until it counts as away, and is asked again. */
const PATIENCE = 1_000

function isMessage(message: unknown, key: string): message is ClusterMessage {
  return typeof message === 'object' && message !== null && (message as ClusterMessage).wsTunnelStore === key
}

/**
 * Keeps the settings of the workers, in the primary process of `node:cluster`: those that start later get them too.
 *
 * @returns what ends it.
 */
export function serveClusterStore({ key = 'ws-tunnel' }: ClusterStoreOptions = {}): { close(): void } {
  const entries = new Entries()
  const users = new Set<Worker>()
  const send = (worker: Worker, message: Omit<ClusterMessage, 'wsTunnelStore'>): void => {
    // A worker that is gone has no use for it.
    if (worker.isConnected()) worker.send({ wsTunnelStore: key, ...message }, () => {})
  }
  const heard = (worker: Worker, message: unknown): void => {
    if (!isMessage(message, key)) return
    if (message.say === 'open') {
      users.add(worker)
      send(worker, { say: 'all', entries: entries.all })
    } else if (message.say === 'save') {
      const news = entries.keep(message.entries ?? [])
      for (const user of users) if (user !== worker && news.length > 0) send(user, { say: 'some', entries: news })
      send(worker, { say: 'saved', ...(message.id !== undefined && { id: message.id }) })
    } else if (message.say === 'close') users.delete(worker)
  }
  const left = (worker: Worker): void => void users.delete(worker)
  cluster.on('message', heard).on('disconnect', left)
  for (const worker of Object.values(cluster.workers ?? {})) if (worker !== undefined) send(worker, { say: 'ready' })
  return { close: () => void cluster.off('message', heard).off('disconnect', left) }
}

/**
 * Shares settings among the workers of `node:cluster`, by messages to the primary process, which calls `serveClusterStore`.
 *
 * @throws {Error} in a process that is no worker.
 */
export function clusterStore({ key = 'ws-tunnel' }: ClusterStoreOptions = {}): Store {
  if (!cluster.isWorker) throw new Error('Expected a worker of node:cluster; the primary calls serveClusterStore()')
  return { name: 'cluster', open: events => new OpenClusterStore(key, events) }
}

class OpenClusterStore implements OpenStore {
  readonly #key: string
  readonly #events: StoreEvents
  readonly #saves = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()
  #lastId = 0
  /** Runs while an answer is missing. */
  #timer: NodeJS.Timeout | undefined

  constructor(key: string, events: StoreEvents) {
    this.#key = key
    this.#events = events
    process.on('message', this.#hear).on('disconnect', this.#lose)
    this.#send({ say: 'open' })
  }

  save(entries: readonly Entry[]): Promise<void> {
    if (!process.connected) return Promise.reject(new Error('The primary is gone'))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const id = ++this.#lastId
    this.#saves.set(id, { resolve, reject })
    this.#send({ say: 'save', entries, id })
    return promise
  }

  async close(): Promise<void> {
    this.#send({ say: 'close' })
    process.off('message', this.#hear).off('disconnect', this.#lose)
    this.#fail(new Error('The store is closed'))
  }

  readonly #hear = (message: unknown): void => {
    if (!isMessage(message, this.#key)) return
    if (message.say === 'ready') this.#send({ say: 'open' })
    else if (message.say === 'some') this.#events.some(message.entries ?? [])
    else if (message.say === 'all') {
      this.#answered()
      this.#events.all(message.entries ?? [])
    } else if (message.say === 'saved') {
      this.#saves.get(message.id ?? 0)?.resolve()
      this.#saves.delete(message.id ?? 0)
      if (this.#saves.size === 0) this.#answered()
    }
  }

  #answered(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** The primary may begin later than its workers, and end earlier. */
  readonly #miss = (): void => {
    this.#lose()
    this.#send({ say: 'open' })
  }

  readonly #lose = (): void => {
    const [said, code] = process.connected ? ['does not answer', 'NO_ANSWER'] : ['is gone', 'GONE']
    const error = Object.assign(new Error(`The primary ${said}`), { code })
    this.#fail(error)
    this.#events.away(error)
  }

  #fail(error: Error): void {
    this.#answered()
    for (const { reject } of this.#saves.values()) reject(error)
    this.#saves.clear()
  }

  #send(message: Omit<ClusterMessage, 'wsTunnelStore'>): void {
    // The channel may end at any moment, which `disconnect` says.
    if (!process.connected) return
    this.#timer ??= setTimeout(this.#miss, PATIENCE).unref()
    process.send?.({ wsTunnelStore: this.#key, ...message }, undefined, undefined, () => {})
  }
}
