import { type ChildProcess, fork } from 'node:child_process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { socketPath, within } from '../gate.ts'
import type { ProcessSettings, Report } from './process.ts'

type Of<Kind extends Report['kind']> = Extract<Report, { kind: Kind }>

/** One process of a series that hand over to each other. */
export class HandoverProcess {
  /** Every message that it has sent. */
  readonly reports: Report[] = []
  /** What it has written to standard error. */
  errors = ''
  /** How it has ended. */
  readonly exited: Promise<number | NodeJS.Signals | null>
  readonly #child: ChildProcess
  readonly #listeners = new Set<() => void>()

  constructor(settings: ProcessSettings, user?: number) {
    const program = fileURLToPath(new URL('process.ts', import.meta.url))
    const execArgv = ['--disable-warning=ExperimentalWarning']
    const options = { execArgv, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] as const, ...(user && { uid: user }) }
    this.#child = fork(program, [JSON.stringify(settings)], options as object)
    this.#child.on('message', (report: Report) => {
      this.reports.push(report)
      for (const listener of this.#listeners) listener()
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
    this.exited = new Promise(resolve => this.#child.once('exit', (code, signal) => resolve(signal ?? code)))
  }

  get pid(): number {
    return this.#child.pid as number
  }

  /** The `nth` message of this kind, once it has come. */
  async report<Kind extends Report['kind']>(kind: Kind, nth = 1, ms = 10_000): Promise<Of<Kind>> {
    const find = (): Of<Kind> | undefined => this.reports.filter(report => report.kind === kind)[nth - 1] as Of<Kind>
    const come = new Promise<Of<Kind>>((resolve, reject) => {
      const look = (): void => {
        const found = find()
        if (found !== undefined) resolve(found)
      }
      this.#listeners.add(look)
      void this.exited.then(how => reject(new Error(`ended by ${how} without the message ${kind}: ${this.errors}`)))
      look()
    })
    return within(ms, `the message ${kind}`, come)
  }

  async port(): Promise<number> {
    return (await this.report('listening')).port
  }

  /** What it has open now. */
  view(): Promise<Of<'view'>> {
    const seen = this.reports.filter(({ kind }) => kind === 'view').length
    this.#child.send('view')
    return this.report('view', seen + 1)
  }

  /** Resolves when it has made a step. */
  async made(step: string): Promise<void> {
    for (let nth = 1; !this.hasMade(step); nth++) await this.report('step', nth)
  }

  /** Whether it has made a step. */
  hasMade(step: string): boolean {
    return this.reports.some(report => report.kind === 'step' && report.step === step)
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }
}

/** A series of processes at one port, ended when the test has ended. */
export class Succession {
  readonly #settings: ProcessSettings
  readonly #processes: HandoverProcess[] = []
  #at: ProcessSettings['at']

  static async create(t: TestContext, settings: Omit<ProcessSettings, 'handover'>): Promise<Succession> {
    const { path, remove } = await socketPath()
    const succession = new Succession({ ...settings, handover: path })
    t.after(async () => {
      for (const process of succession.#processes) process.kill()
      await Promise.all(succession.#processes.map(({ exited }) => exited))
      await remove()
    })
    return succession
  }

  private constructor(settings: ProcessSettings) {
    this.#settings = settings
    this.#at = settings.at
  }

  /** The socket of the hand-over. */
  get path(): string {
    return this.#settings.handover
  }

  /** Starts the next process, which need not serve yet. */
  start(settings: Partial<ProcessSettings> = {}, user?: number): HandoverProcess {
    const process = new HandoverProcess({ ...this.#settings, ...(this.#at && { at: this.#at }), ...settings }, user)
    this.#processes.push(process)
    return process
  }

  /** Starts the next process, and waits until it serves at the port of the first one and can hand over. */
  async next(settings: Partial<ProcessSettings> = {}): Promise<HandoverProcess> {
    const process = this.start(settings)
    const port = await process.port()
    await process.made('ready')
    this.#at ??= { port }
    return process
  }
}
