import type { ErrorLog } from '../logs/error-log.ts'
import type { Logs } from '../logs/logs.ts'
import { type Ready, type RunSettings, readConfiguration } from './read-configuration.ts'

/** Reads the configuration again, one reload after the other. */
export class Reloads {
  readonly #settings: RunSettings
  readonly #logs: Logs
  readonly #errorLog: () => ErrorLog
  #last: Promise<void> = Promise.resolve()

  /** @param errorLog the current error log of the main server, which a reload may replace. */
  constructor(settings: RunSettings, logs: Logs, errorLog: () => ErrorLog) {
    this.#settings = settings
    this.#logs = logs
    this.#errorLog = errorLog
  }

  /** Resolves when the reloads are over that have begun, or that wait. */
  get over(): Promise<void> {
    return this.#last
  }

  /** Runs a reload when the earlier ones are over. */
  run(reload: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(reload)
    return this.#last
  }

  /**
   * Opens the logs again and reads the configuration.
   *
   * @param replace serves from the new configuration. It throws to refuse it, and then the old one stays.
   */
  async reread(replace: (next: Ready) => Promise<void>): Promise<void> {
    this.#logs.reopen()
    const refuse = (why: string): void =>
      this.#errorLog().write('error', `the configuration was not reloaded and the old one stays: ${why}`)
    try {
      const next = readConfiguration(this.#settings)
      if ('problem' in next) {
        refuse('it has errors')
        this.#logs.errors.write(next.problem)
        return
      }
      this.#logs.errors.write(next.warnings)
      await replace(next)
      this.#errorLog().write('notice', 'the configuration was reloaded')
    } catch (error) {
      refuse((error as Error).message)
    }
  }
}
