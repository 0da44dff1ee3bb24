import { setTimeout as delay } from 'node:timers/promises'
import { createClient, type RedisClientOptions } from 'redis'
import { latest, MAX_LENGTH } from './setting.ts'
import type { Entry, OpenStore, Store, StoreEvents } from './store.ts'

/** Options of the Redis store: those of `createClient` of the package `redis`, and its own. */
export type RedisStoreOptions = Omit<RedisClientOptions, 'RESP' | 'disableOfflineQueue'> & {
  /** Name of the hash that holds the settings, and of the channel that tells of changes. @default 'ws-tunnel' */
  key?: string
  /** ms between two looks whether Redis still answers. @default 5000 */
  interval?: number
}

/** ms until Redis is tried again, at first and at most; and how long a connection lasts until it counts as good. */
const BACK_OFF = [100, 5_000] as const

/** ms that Redis has for an answer. */
const PATIENCE = 5_000

/** Most settings that are read. */
const MAX_SETTINGS = 10_000

/** What is too long is cut, and then wrong. */
const READ = `
if redis.call('HLEN', KEYS[1]) > ${MAX_SETTINGS} then return redis.error_reply('TOOMANY more than ${MAX_SETTINGS} settings') end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all do if #all[i] > ${MAX_LENGTH} then all[i] = string.sub(all[i], 1, 80) end end
return all`

/** The newer of two stays; what has no time, or one that is yet to come, is none. */
const SAVE = `
local function stamp(text)
  if not text or #text > ${MAX_LENGTH} then return -1 end
  local time, writer = string.match(text, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d) (%x%x%x%x%x%x%x%x) ')
  if not time or tonumber(time) > tonumber(ARGV[1]) then return -1 end
  return tonumber(time), writer
end
local changed = false
for i = 3, #ARGV, 2 do
  local time, writer = stamp(redis.call('HGET', KEYS[1], ARGV[i]))
  local newTime, newWriter = stamp(ARGV[i + 1])
  if newTime > time or (newTime == time and newWriter > writer) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    changed = true
  end
end
if changed then redis.call('PUBLISH', ARGV[2], '') end`

/**
 * Shares settings through Redis 6 or later, by one connection of its own, which it makes again and again when it is lost.
 * Needs the package `redis`.
 *
 * @throws {TypeError} for wrong options.
 */
export function redisStore(options: RedisStoreOptions = {}): Store {
  const { key = 'ws-tunnel', interval = 5_000, ...client } = options
  if (typeof key !== 'string' || key === '') throw new TypeError('Expected `key` to be a name, and not an empty one')
  if (!Number.isInteger(interval) || interval < 100 || interval > 3_600_000)
    throw new TypeError(`Expected \`interval\` to be a whole number from 100 to 3600000, got ${interval}`)
  // Whatever is wrong with it, it may hold a password.
  if (client.url !== undefined && !/^rediss?:$/.test(URL.parse(client.url)?.protocol ?? ''))
    throw new TypeError('Expected `url` to be one such as redis://localhost:6379')
  return { name: 'redis', open: events => new OpenRedisStore(client, key, interval, events) }
}

class OpenRedisStore implements OpenStore {
  readonly #options: RedisClientOptions
  readonly #key: string
  readonly #interval: number
  readonly #events: StoreEvents
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #session: Session | undefined

  constructor(options: RedisClientOptions, key: string, interval: number, events: StoreEvents) {
    this.#options = options
    this.#key = key
    this.#interval = interval
    this.#events = events
    this.#ended = this.#stayConnected()
  }

  async save(entries: readonly Entry[]): Promise<void> {
    if (this.#session === undefined) throw new Error('Redis is away')
    await this.#session.save(entries)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#session?.end(new Error('closed'))
    await this.#ended
  }

  async #stayConnected(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      const begun = performance.now()
      this.#session = new Session(this.#options, this.#key)
      try {
        await this.#session.watch(this.#interval, entries => this.#events.all(entries))
      } catch (error) {
        if (signal.aborted) return
        this.#session = undefined
        this.#events.away(error as Error)
      }
      const [first, most] = BACK_OFF
      failures = performance.now() - begun > most ? 0 : failures + 1
      const wait = Math.min(first * 2 ** failures, most) * (0.5 + Math.random() / 2)
      await delay(wait, undefined, { signal }).catch(() => {})
    }
  }
}

/** One connection, until something is wrong with it. */
class Session {
  readonly #client: ReturnType<typeof createClient>
  readonly #key: string
  readonly #lost = Promise.withResolvers<never>()

  constructor({ socket, ...options }: RedisClientOptions, key: string) {
    this.#key = key
    this.#client = createClient({
      ...options,
      RESP: 3,
      disableOfflineQueue: true,
      socket: { connectTimeout: PATIENCE, ...socket, reconnectStrategy: false } as RedisClientOptions['socket'],
    })
    this.#client.on('error', this.end).on('end', () => this.end(new Error('The connection has ended')))
    this.#lost.promise.catch(() => {})
  }

  readonly end = (error: Error): void => this.#lost.reject(error)

  /** Tells all there is, at every change and at every interval. @throws when it ends. */
  async watch(interval: number, tell: (entries: Entry[]) => void): Promise<never> {
    try {
      await this.#answer(this.#client.connect())
      let changed = Promise.withResolvers<void>()
      await this.#answer(this.#client.subscribe(this.#key, () => changed.resolve()))
      for (;;) {
        changed = Promise.withResolvers<void>()
        const flat = (await this.#answer(this.#client.eval(READ, { keys: [this.#key] }))) as string[]
        tell(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string]))
        const timer = setTimeout(changed.resolve, interval)
        await Promise.race([changed.promise, this.#lost.promise]).finally(() => clearTimeout(timer))
      }
    } finally {
      if (this.#client.isOpen) this.#client.destroy()
    }
  }

  async save(entries: readonly Entry[]): Promise<void> {
    const options = { keys: [this.#key], arguments: [String(latest()), this.#key, ...entries.flat()] }
    try {
      await this.#answer(this.#client.eval(SAVE, options))
    } catch (error) {
      this.end(error as Error)
      throw error
    }
  }

  /** A connection whose other end has gone silent is as good as none. */
  async #answer<T>(answer: Promise<T>): Promise<T> {
    const late = Object.assign(new Error('Redis does not answer'), { code: 'ETIMEDOUT' })
    const timer = setTimeout(this.end, PATIENCE, late)
    try {
      return await Promise.race([answer, this.#lost.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}
