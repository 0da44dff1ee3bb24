import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import type { NameResolver, ResolvedBackend, ResolveSettings } from '../options/resolve-options.ts'
import { Countdown } from '../util/countdown.ts'
import { lacksDescriptors } from '../util/descriptors.ts'

/** Maximum of backends that one name may resolve to; further ones are ignored. */
const MAX_BACKENDS = 256

/** The error codes for a record that does not exist. */
const NO_RECORD = new Set(['ENODATA', 'ENOTFOUND'])

type Family = 4 | 6

/** Looks up the backends of one host name, repeatedly. */
export class DnsLookup {
  readonly #settings: ResolveSettings
  readonly #resolver: NameResolver
  readonly #own: Resolver | undefined
  readonly #addresses: Record<Family, readonly string[]> = { 4: [], 6: [] }
  #abort: ((error: Error) => void) | undefined

  constructor(settings: ResolveSettings) {
    this.#settings = settings
    this.#own =
      settings.resolver === undefined ? new Resolver({ timeout: Math.ceil(settings.timeout), tries: 1 }) : undefined
    this.#resolver = settings.resolver ?? (this.#own as Resolver)
  }

  /** @throws {Error} if there is no result in time, the lookup fails, or the name has no backends. */
  async run(): Promise<ResolvedBackend[]> {
    const { timeout, hostname } = this.#settings
    const aborted = Promise.withResolvers<never>()
    this.#abort = aborted.reject
    const late = (): void => this.cancel(`no result for ${hostname} in ${timeout} ms`)
    const limit = new Countdown(timeout, late, { unref: true })
    try {
      const found = await Promise.race([this.#query(), aborted.promise])
      const backends = found.map(backend => this.#checked(backend)).slice(0, MAX_BACKENDS)
      if (backends.length === 0) throw new Error(`${hostname} has no backends`)
      return backends
    } catch (error) {
      // The resolver reports that it was refused.
      if (!lacksDescriptors()) throw error
      throw new WsTunnelError('WST_ERR_EXHAUSTED', { detail: `the lookup of ${hostname}`, cause: error })
    } finally {
      limit.stop()
    }
  }

  /** Aborts the lookup in progress, which rejects with this text. */
  cancel(why = 'the lookup was cancelled'): void {
    this.#abort?.(new Error(why))
    this.#own?.cancel()
  }

  async #query(): Promise<readonly ResolvedBackend[]> {
    const { hostname, type } = this.#settings
    const resolver = this.#resolver
    if (typeof resolver === 'function') return resolver(hostname, type)
    if (type === 'SRV') {
      const records = await resolver.resolveSrv(hostname)
      // A single dot means that the service is not available (RFC 2782).
      return records
        .filter(({ name }) => name !== '' && name !== '.')
        .map(({ name, ...rest }) => ({ ...rest, address: name }))
    }
    const families: readonly Family[] = type === 'A' ? [4] : type === 'AAAA' ? [6] : [4, 6]
    const results = await Promise.allSettled(
      families.map(family => (family === 4 ? resolver.resolve4(hostname) : resolver.resolve6(hostname))),
    )
    const failures = results.flatMap(result =>
      result.status === 'rejected' ? [result.reason as { code?: string }] : [],
    )
    if (failures.length === results.length) throw failures.find(({ code = '' }) => !NO_RECORD.has(code)) ?? failures[0]
    for (const [i, result] of results.entries()) {
      const family = families[i] as Family
      if (result.status === 'fulfilled') this.#addresses[family] = result.value
      // After any other failure of a family, its known addresses stay.
      else if (NO_RECORD.has((result.reason as { code?: string }).code ?? '')) this.#addresses[family] = []
    }
    return families.flatMap(family => this.#addresses[family].toSorted().map(address => ({ address })))
  }

  /** Checks a result, because its text comes from another party and becomes part of a URL. */
  #checked(backend: ResolvedBackend): ResolvedBackend {
    const { hostname, type } = this.#settings
    const address = String(backend.address).toLowerCase().replace(/\.$/, '')
    const { port = 0 } = backend
    const isService = Number.isInteger(port) && port > 0 && port < 65_536 && /^[\w-]+(?:\.[\w-]+)*$/.test(address)
    if (type === 'SRV' ? !isService : isIP(address) === 0)
      throw new Error(`the result for ${hostname} is not a backend: ${JSON.stringify(backend).slice(0, 200)}`)
    return { ...backend, address }
  }
}
