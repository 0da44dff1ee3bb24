import { descriptorLimit, Handover, type HandoverReport, MAX_DELAY, tunnelsLeft } from '@ws-tunnel/core'
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
  readonly #settings: RunSettings
  readonly #logs: Logs
  readonly #gateway: Gateway
  readonly pages: Pages
  readonly #reloads: Reloads
  readonly #handover: Handover | undefined
  readonly #handedOver = Promise.withResolvers<HandoverReport>()

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
    this.#reloads = new Reloads(settings, this.#logs, () => this.errorLog)
    const onProblem = (message: string): void => this.errorLog.write('warn', message)
    this.pages = new Pages(settings.pages, { ...surroundings, onProblem })
    if (settings.handover !== undefined) {
      const { gracefulShutdownTimeout } = configuration.main.settings
      this.#handover = new Handover({
        path: settings.handover,
        drainTimeout: gracefulShutdownTimeout || MAX_DELAY,
        onHandedOver: report => this.#handedOver.resolve(report),
      })
    }
    this.#gateway = new Gateway(configuration, this.#logs, this.pages, this.#handover)
  }

  /** Resolves when the next process serves, and nothing is left in this one. */
  get handedOver(): Promise<HandoverReport> {
    return this.#handedOver.promise
  }

  /**
   * Takes the states of members from the process that serves now, and its listeners at {@link listen}.
   *
   * @throws {WsTunnelError} `WST_ERR_HANDOVER` if it refuses
   */
  async beginTakeOver(): Promise<void> {
    if (await this.#handover?.begin()) this.errorLog.write('notice', 'taking over from the process that serves now')
  }

  /** Takes the tunnels of the process that served before, and waits for the next one. To be called when this one serves. */
  async takeTunnels(): Promise<void> {
    if (this.#handover === undefined) return
    try {
      const taken = await this.#handover.complete()
      if (taken > 0) this.errorLog.write('notice', `${taken} tunnels of the process before this one continue here`)
    } catch (error) {
      this.errorLog.write('error', `no next process can take over: ${(error as Error).message}`)
    }
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

  /** Resolves when the last request and the last tunnel have ended, at most `noticeTime` and `drainTimeout` ms from now. */
  async close(drainTimeout: number): Promise<void> {
    await this.#reloads.over
    this.#handover?.close()
    const { drainSpread, noticeTime } = this.#settings
    await this.#gateway.close({ drainTimeout, drainSpread, noticeTime })
  }

  /** Writes what waits in the logs. To be called at the end. */
  closeLogs(): Promise<void> {
    return this.#logs.close()
  }

  #announce(urls: readonly string[]): void {
    for (const url of urls) this.errorLog.write('notice', `listening on ${url}`)
  }
}
