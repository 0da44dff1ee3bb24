import { descriptorLimit, tunnelsLeft } from '@ws-tunnel/core'
import { Gateway } from '../gateway/gateway.ts'
import { type PageSurroundings, Pages } from '../gateway/pages.ts'
import type { ErrorLog } from '../logs/error-log.ts'
import { Logs } from '../logs/logs.ts'
import { ROOT_NOTICE, staysRoot } from './privileges.ts'
import { type Ready, type RunSettings, readConfiguration } from './read-configuration.ts'

/** A process alone shares nothing. */
const ALONE = { store: undefined, secret: undefined, allMetrics: undefined }

/** A gateway with its logs, which can read its configuration again. */
export class Serving {
  readonly #settings: RunSettings
  readonly #logs: Logs
  readonly #gateway: Gateway
  readonly pages: Pages
  /** One reload at a time: a reload waits until its new listeners are open. */
  #reloading: Promise<unknown> = Promise.resolve()

  /**
   * @throws {WsTunnelError} for options that the proxy refuses.
   * @throws the file system's error for a log that cannot be opened.
   */
  constructor(
    { configuration }: Ready,
    settings: RunSettings,
    surroundings: Omit<PageSurroundings, 'onProblem'> = ALONE,
  ) {
    this.#settings = settings
    this.#logs = new Logs(settings.isJson)
    const onProblem = (message: string): void => this.errorLog.write('warn', message)
    this.pages = new Pages(settings.pages, { ...surroundings, onProblem })
    this.#gateway = new Gateway(configuration, this.#logs, this.pages)
  }

  get errorLog(): ErrorLog {
    return this.#gateway.errorLog
  }

  /** @throws for an address where it cannot listen. */
  async listen({ configuration, listens }: Ready): Promise<void> {
    this.#announce(await this.#gateway.listen(listens))
    if (staysRoot(configuration.main.settings)) this.errorLog.write('notice', ROOT_NOTICE)
    const limit = descriptorLimit()
    if (limit === null) return
    const text = `${limit.limit} descriptors are enough for about ${tunnelsLeft()} tunnels; further clients get 503`
    this.errorLog.write('notice', text)
  }

  /** Opens the logs again, and serves new requests from what the file has now. */
  reload(): Promise<void> {
    const reloaded = this.#reloading.then(() => this.#reload())
    this.#reloading = reloaded
    return reloaded
  }

  async #reload(): Promise<void> {
    this.#logs.reopen()
    const refuse = (why: string): void =>
      this.errorLog.write('error', `the configuration was not reloaded and the old one stays: ${why}`)
    try {
      const next = readConfiguration(this.#settings)
      if ('problem' in next) {
        refuse('it has errors')
        this.#logs.errors.write(next.problem)
        return
      }
      this.#logs.errors.write(next.warnings)
      this.#announce(await this.#gateway.replace(next.configuration, next.listens))
      this.errorLog.write('notice', 'the configuration was reloaded')
    } catch (error) {
      refuse((error as Error).message)
    }
  }

  /** Resolves when the last request and the last tunnel have ended, at most `drainTimeout` ms from now. */
  async close(drainTimeout: number): Promise<void> {
    await this.#reloading
    await this.#gateway.close(drainTimeout)
  }

  /** Writes what waits in the logs. To be called at the end. */
  closeLogs(): Promise<void> {
    return this.#logs.close()
  }

  #announce(urls: readonly string[]): void {
    for (const url of urls) this.errorLog.write('notice', `listening on ${url}`)
  }
}
