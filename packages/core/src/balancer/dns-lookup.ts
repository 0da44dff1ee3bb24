import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { NameResolver, ResolvedBackend, ResolveSettings } from '../options/resolve-options.ts'

/** Backends that one name may stand for. */
const MAX_BACKENDS = 256

/** Answers that say that there is nothing of the kind. */
const NOTHING = new Set(['ENODATA', 'ENOTFOUND'])

type Family = 4 | 6

/** Asks for what stands behind one name, time and again. */
export class NameQuestion {
  readonly #settings: ResolveSettings
  readonly #resolver: NameResolver
  readonly #own: Resolver | undefined
  readonly #addresses: Record<Family, readonly string[]> = { 4: [], 6: [] }
  #giveUp: ((error: Error) => void) | undefined

  constructor(settings: ResolveSettings) {
    this.#settings = settings
    this.#own = settings.resolver === undefined ? new Resolver({ timeout: settings.timeout, tries: 1 }) : undefined
    this.#resolver = settings.resolver ?? (this.#own as Resolver)
  }

  /** @throws {Error} for no answer in time, a failure, and a name behind which there is nothing. */
  async ask(): Promise<ResolvedBackend[]> {
    const { timeout, hostname } = this.#settings
    const late = Promise.withResolvers<never>()
    this.#giveUp = late.reject
    const timer = setTimeout(() => this.cancel(`no answer for ${hostname} in ${timeout} ms`), timeout).unref()
    try {
      const found = await Promise.race([this.#answer(), late.promise])
      const backends = found.map(backend => this.#checked(backend)).slice(0, MAX_BACKENDS)
      if (backends.length === 0) throw new Error(`nothing stands behind ${hostname}`)
      return backends
    } finally {
      clearTimeout(timer)
    }
  }

  /** Gives up the question under way. */
  cancel(why = 'no answer is wanted any more'): void {
    this.#giveUp?.(new Error(why))
    this.#own?.cancel()
  }

  async #answer(): Promise<readonly ResolvedBackend[]> {
    const { hostname, type } = this.#settings
    const resolver = this.#resolver
    if (typeof resolver === 'function') return resolver(hostname, type)
    if (type === 'SRV') {
      const records = await resolver.resolveSrv(hostname)
      // A lone dot says that the service is not there (RFC 2782).
      return records
        .filter(({ name }) => name !== '' && name !== '.')
        .map(({ name, ...rest }) => ({ ...rest, address: name }))
    }
    const families: readonly Family[] = type === 'A' ? [4] : type === 'AAAA' ? [6] : [4, 6]
    const answers = await Promise.allSettled(
      families.map(family => (family === 4 ? resolver.resolve4(hostname) : resolver.resolve6(hostname))),
    )
    const failures = answers.flatMap(answer =>
      answer.status === 'rejected' ? [answer.reason as { code?: string }] : [],
    )
    if (failures.length === answers.length) throw failures.find(({ code = '' }) => !NOTHING.has(code)) ?? failures[0]
    for (const [i, answer] of answers.entries()) {
      const family = families[i] as Family
      if (answer.status === 'fulfilled') this.#addresses[family] = answer.value
      // Of the other family nothing may be known for the moment; what was known of it stays.
      else if (NOTHING.has((answer.reason as { code?: string }).code ?? '')) this.#addresses[family] = []
    }
    return families.flatMap(family => this.#addresses[family].toSorted().map(address => ({ address })))
  }

  /** An answer is somebody else's text, and becomes part of a URL. */
  #checked(backend: ResolvedBackend): ResolvedBackend {
    const { hostname, type } = this.#settings
    const address = String(backend.address).toLowerCase().replace(/\.$/, '')
    const { port = 0 } = backend
    const isService = Number.isInteger(port) && port > 0 && port < 65_536 && /^[\w-]+(?:\.[\w-]+)*$/.test(address)
    if (type === 'SRV' ? !isService : isIP(address) === 0)
      throw new Error(`the answer for ${hostname} is no backend: ${JSON.stringify(backend).slice(0, 200)}`)
    return { ...backend, address }
  }
}
