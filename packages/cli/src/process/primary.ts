import cluster, { type Worker } from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { MAX_DELAY } from '@ws-tunnel/core'
import { serveClusterStore } from '@ws-tunnel/manager/cluster'
import { AggregatorRegistry } from 'prom-client'
import { removeStaleSockets } from '../gateway/stale-sockets.ts'
import type { ErrorLog } from '../logs/error-log.ts'
import { Logs } from '../logs/logs.ts'
import { type Signals, writePidFile } from './control.ts'
import { copyLines } from './copy-lines.ts'
import { isOurMessage, type PrimaryMessage, type WorkerMessage } from './messages.ts'
import type { Ready, RunSettings } from './read-configuration.ts'
import { Reloads } from './reloads.ts'
import { INHERITED, inheritedSockets, type ServiceManager } from './service-manager.ts'
import { SECRET, SLOT } from './worker.ts'

/** Time between the end of a worker and the start of the next one, ms. */
const RESTART_DELAY = 1_000

/** Time that a worker has to end after the drain, before it is killed, ms. */
const KILL_DELAY = 5_000

/** Time that the workers have to hand over before those that are left are told to stop, ms. */
const HANDOVER_TIME = 15_000

/** The longest wait for the response of a worker, ms. */
const RESPONSE_TIMEOUT = 1_000

/** The workers that read the configuration at the same time, with their numbers. */
type Crew = Map<Worker, number>

/**
 * Runs workers that serve, and resolves to the exit code. As in httpd, this process keeps its user, so that a reload can
 * read keys and open ports; the workers change theirs. A reload starts new workers, and the old ones drain.
 */
export async function serveWithWorkers(
  first: Ready,
  settings: RunSettings,
  signals: Signals,
  services: ServiceManager,
): Promise<number> {
  const primary = new Primary(first, settings, services)
  const exitCode = await primary.run(signals)
  services.close()
  return exitCode
}

class Primary {
  readonly #settings: RunSettings
  readonly #services: ServiceManager
  readonly #logs: Logs
  readonly #count: number
  readonly #inherited = inheritedSockets()
  #ready: Ready
  #errorLog: ErrorLog
  #crew: Crew = new Map()
  readonly #all = new Set<Worker>()
  #isStopping = false
  readonly #reloads: Reloads
  /** The number of the last request to the workers. */
  #lastId = 0
  readonly #secret = randomBytes(32).toString('base64url')

  constructor(first: Ready, settings: RunSettings, services: ServiceManager) {
    this.#settings = settings
    this.#services = services
    this.#logs = new Logs(settings.isJson)
    this.#reloads = new Reloads(settings, this.#logs, () => this.#errorLog)
    this.#count = settings.workers ?? 1
    this.#ready = first
    this.#errorLog = this.#openErrorLog(first)
    // The workers accept connections by themselves. With round robin this process would accept each one and pass it on.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    // Lines of several processes must not mix, and a pipe takes only 4 KiB at once, so this process writes all lines.
    cluster.setupPrimary({ silent: true })
    serveClusterStore()
  }

  async run(signals: Signals): Promise<number> {
    let removePidFile: () => void
    try {
      removePidFile = writePidFile(this.#ready.configuration.main.settings.pidFile)
    } catch (error) {
      this.#errorLog.write('error', `could not start: ${(error as Error).message}`)
      await this.#logs.close()
      return 1
    }
    await removeStaleSockets(this.#ready.listens)
    const crew = await this.#startCrew()
    if (crew === undefined) {
      await this.#endAll()
      removePidFile()
      await this.#logs.close()
      return 1
    }
    this.#crew = crew
    this.#services.ready(`serving with ${this.#count} workers`)
    this.#services.watch(() => this.#isAlive())
    await this.#untilStopped(signals)
    removePidFile()
    this.#errorLog.write('notice', 'drained, ending')
    await this.#logs.close()
    return 0
  }

  #openErrorLog({ configuration: { main } }: Ready): ErrorLog {
    const { file, level, format } = main.errorLog
    return this.#logs.errorLog(file, level, format, main.serverName)
  }

  /** Starts workers. Returns `undefined` if one of them ends before it serves. */
  async #startCrew(): Promise<Crew | undefined> {
    const crew: Crew = new Map()
    const started = Array.from({ length: this.#count }, () => this.#startWorker(crew))
    if ((await Promise.all(started)).every(Boolean)) return crew
    for (const worker of crew.keys()) worker.kill('SIGKILL')
    return undefined
  }

  /** Starts a worker. Resolves to whether it serves. */
  #startWorker(crew: Crew): Promise<boolean> {
    const slot = freeSlot(crew)
    const worker = cluster.fork({
      [SECRET]: this.#secret,
      [SLOT]: `${slot}`,
      ...(this.#inherited.length > 0 && { [INHERITED]: JSON.stringify(this.#inherited) }),
    })
    crew.set(worker, slot)
    this.#all.add(worker)
    copyLines(worker.process.stdout as Readable, this.#logs.output)
    copyLines(worker.process.stderr as Readable, this.#logs.errors)
    return new Promise(resolve => {
      let serves = false
      worker.on('message', (message: unknown) => {
        if (!isOurMessage(message)) return
        if (message.wsTunnel === 'get-all-metrics') void this.#sendMetrics(worker, message.id)
        if (message.wsTunnel !== 'ready') return
        serves = true
        resolve(true)
      })
      worker.once('exit', (code: number | null, signal: string | null) => {
        this.#all.delete(worker)
        crew.delete(worker)
        resolve(false)
        if (serves) this.#workerOnExit(crew, worker, signal ?? String(code))
      })
    })
  }

  /** Replaces a worker that ended by itself. */
  #workerOnExit(crew: Crew, worker: Worker, reason: string): void {
    if (this.#isStopping || crew !== this.#crew) return
    this.#errorLog.write('error', `worker ${worker.process.pid} ended unexpectedly (${reason}) and is replaced`)
    const replace = async (): Promise<void> => {
      if (this.#isStopping || crew !== this.#crew || crew.size >= this.#count) return
      await removeStaleSockets(this.#ready.listens)
      if (!(await this.#startWorker(crew))) setTimeout(replace, RESTART_DELAY)
    }
    setTimeout(replace, RESTART_DELAY)
  }

  #reload(): Promise<void> {
    return this.#reloads.run(async () => {
      if (this.#isStopping) return
      this.#services.reloading()
      await this.#reloads.reread(next => this.#replaceCrew(next))
      this.#services.ready(`serving with ${this.#count} workers`)
    })
  }

  /** @throws {Error} if the new workers do not start. */
  async #replaceCrew(next: Ready): Promise<void> {
    await removeStaleSockets(next.listens)
    const crew = await this.#startCrew()
    if (crew === undefined) throw new Error('its workers do not start')
    const old = this.#crew
    this.#crew = crew
    this.#ready = next
    this.#errorLog = this.#openErrorLog(next)
    // Requests and tunnels that have begun keep their worker, however long they last.
    const stop = (): void => {
      for (const worker of old.keys()) send(worker, { wsTunnel: 'stop', drainTimeout: MAX_DELAY })
    }
    // A worker that has handed its tunnels over ends by itself.
    if (this.#settings.handover === undefined) stop()
    else setTimeout(stop, HANDOVER_TIME).unref()
  }

  /** Obeys the signals until all workers have ended. */
  #untilStopped(signals: Signals): Promise<void> {
    return new Promise(resolve => {
      signals.listen((command, signal) => {
        // New workers run the files that are there now, and take over from the old ones.
        if (command === 'reload' || command === 'hand-over') {
          void this.#reload()
          return
        }
        if (!this.#isStopping) this.#services.stopping()
        this.#isStopping = true
        this.#errorLog.write('notice', `caught ${signal}, draining`)
        const { gracefulShutdownTimeout } = this.#ready.configuration.main.settings
        const drainTimeout = command === 'stop' ? this.#settings.drainTimeout : gracefulShutdownTimeout || MAX_DELAY
        void this.#reloads.over.then(() => this.#stopAll(drainTimeout)).then(resolve)
      })
    })
  }

  /** Resolves when all workers have ended. */
  async #stopAll(drainTimeout: number): Promise<void> {
    for (const worker of this.#all) send(worker, { wsTunnel: 'stop', drainTimeout })
    const timer = setTimeout(
      () => {
        for (const worker of this.#all) worker.kill('SIGKILL')
      },
      Math.min(drainTimeout + this.#settings.noticeTime + KILL_DELAY, MAX_DELAY),
    )
    await this.#endAll()
    clearTimeout(timer)
  }

  async #endAll(): Promise<void> {
    await Promise.all(Array.from(this.#all, worker => once(worker, 'exit')))
  }

  /** Whether every worker responds before the next sign of life is due. */
  async #isAlive(): Promise<boolean> {
    const timeout = this.#services.watchdogInterval ?? RESPONSE_TIMEOUT
    const responses = Array.from(this.#crew.keys(), worker => this.#request(worker, 'ping', 'alive', timeout))
    return (await Promise.all(responses)).every(response => response !== undefined)
  }

  /** Sends a worker the sum of the metrics of all workers. */
  async #sendMetrics(to: Worker, id: number): Promise<void> {
    const responses = await Promise.all(
      Array.from(this.#crew.keys(), worker => this.#request(worker, 'get-metrics', 'metrics', RESPONSE_TIMEOUT)),
    )
    const all = responses.flatMap(response => (response?.wsTunnel === 'metrics' ? [response.metrics] : []))
    send(to, { wsTunnel: 'all-metrics', id, text: await AggregatorRegistry.aggregate(all).metrics() })
  }

  /** Sends a request to a worker, and resolves to its response; `undefined` if it does not respond in time. */
  #request(
    worker: Worker,
    request: 'ping' | 'get-metrics',
    response: 'alive' | 'metrics',
    timeout: number,
  ): Promise<WorkerMessage | undefined> {
    const id = ++this.#lastId
    return new Promise(resolve => {
      const done = (message: WorkerMessage | undefined): void => {
        worker.off('message', workerOnMessage)
        clearTimeout(timer)
        resolve(message)
      }
      const workerOnMessage = (message: unknown): void => {
        if (isOurMessage(message) && message.wsTunnel === response && message.id === id) done(message)
      }
      const timer = setTimeout(done, timeout, undefined)
      worker.on('message', workerOnMessage)
      send(worker, { wsTunnel: request, id })
    })
  }
}

/** The lowest number that no worker of the crew has. */
function freeSlot(crew: Crew): number {
  const used = new Set(crew.values())
  let slot = 1
  while (used.has(slot)) slot++
  return slot
}

const send = (worker: Worker, message: PrimaryMessage): void => {
  if (worker.isConnected()) worker.send(message, () => {})
}
