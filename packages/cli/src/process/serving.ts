import { descriptorLimit, tunnelsLeft } from '@ws-tunnel/core'
import { Gateway } from '../gateway/gateway.ts'
import { type PageSurroundings, Pages } from '../gateway/pages.ts'
import type { ErrorLog } from '../logs/error-log.ts'
import { Logs } from '../logs/logs.ts'
import { ROOT_NOTICE, staysRoot } from './privileges.ts'
import type { Ready, RunSettings } from './read-configuration.ts'
import { Reloads } from './reloads.ts'

/** A process alone shares nothing. */
const ALONE = { store: undefined, secret: undefined, allMetrics: undefined }

/** A gateway with its logs, which can read its configuration again. */
export class Serving {
  readonly #logs: Logs
  readonly #gateway: Gateway
  readonly pages: Pages
  readonly #reloads: Reloads

  /**
   * @throws {WsTunnelError} for options that the proxy refuses.
   * @throws the file system's error for a log that cannot be opened.
   */
  constructor(
    { configuration }: Ready,
    settings: RunSettings,
    surroundings: Omit<PageSurroundings, 'onProblem'> = ALONE,
  ) {
    this.#logs = new Logs(settings.isJson)
    this.#reloads = new Reloads(settings, this.#logs, () => this.errorLog)
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
    return this.#reloads.run(() =>
      this.#reloads.reread(async next => this.#announce(await this.#gateway.replace(next.configuration, next.listens))),
    )
  }

  /** Resolves when the last request and the last tunnel have ended, at most `drainTimeout` ms from now. */
  async close(drainTimeout: number): Promise<void> {
    await this.#reloads.over
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
