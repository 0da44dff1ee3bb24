import { clusterStore } from '@ws-tunnel/manager/cluster'
import { ignoreSignals } from './control.ts'
import { isOurMessage, type PrimaryMessage, type WorkerMessage } from './messages.ts'
import { become, identityOf } from './privileges.ts'
import { type RunSettings, readConfiguration } from './read-configuration.ts'
import { Serving } from './serving.ts'

/** The variable in which the primary process passes the key of the manager's tokens on. */
export const SECRET = 'WS_TUNNEL_SECRET'

/**
 * The variable with the number of the worker in its crew. A worker takes over from the one that had its number, and hands
 * over to the next one.
 */
export const SLOT = 'WS_TUNNEL_SLOT'

const send = (message: WorkerMessage): void => void process.send?.(message, undefined, undefined, () => {})

/** Serves as a worker of {@link serveWithWorkers}, until the primary process stops it. Resolves to the exit code. */
export async function serveAsWorker(settings: RunSettings): Promise<number> {
  ignoreSignals()
  const first = readConfiguration(settings)
  // The primary has read the same file a moment ago, and reports what is wrong with it.
  if ('problem' in first) return 1
  const metrics = new AllMetrics()
  const handover = settings.handover && `${settings.handover}.${process.env[SLOT]}`
  const serving = new Serving(
    first,
    { ...settings, handover },
    {
      store: clusterStore(),
      secret: process.env[SECRET],
      allMetrics: metrics.get,
    },
  )
  const end = async (exitCode: number): Promise<number> => {
    await serving.closeLogs()
    process.disconnect?.()
    return exitCode
  }
  try {
    await serving.listen(first)
    const identity = identityOf(first.configuration.main.settings)
    // The listeners, the logs and the keys are open by now.
    if (identity !== undefined) become(identity)
    await serving.beginTakeOver()
  } catch (error) {
    serving.errorLog.write('error', `could not serve: ${(error as Error).message}`)
    await serving.close(0)
    return end(1)
  }
  const stopped = new Promise<void>(resolve => {
    process.on('message', (message: unknown) => {
      if (!isOurMessage(message)) return
      const request = message as PrimaryMessage
      if (request.wsTunnel === 'stop') void serving.close(request.drainTimeout).then(resolve)
      else if (request.wsTunnel === 'ping') send({ wsTunnel: 'alive', id: request.id })
      else if (request.wsTunnel === 'all-metrics') metrics.resolve(request.id, request.text)
      else void sendMetrics(serving, request.id)
    })
  })
  send({ wsTunnel: 'ready' })
  void serving.takeTunnels()
  const handedOver = await Promise.race([stopped.then(() => false), serving.handedOver.then(() => true)])
  if (handedOver) await serving.close(0)
  return end(0)
}

async function sendMetrics({ pages }: Serving, id: number): Promise<void> {
  const metrics = (await pages.register?.getMetricsAsJSON()) ?? []
  send({ wsTunnel: 'metrics', id, metrics })
}

/** The metrics of all workers, which the primary process collects. */
class AllMetrics {
  readonly #waiting = new Map<number, (text: string) => void>()
  #lastId = 0

  readonly get = (): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const id = ++this.#lastId
    this.#waiting.set(id, resolve)
    send({ wsTunnel: 'get-all-metrics', id })
    return promise
  }

  resolve(id: number, text: string): void {
    this.#waiting.get(id)?.(text)
    this.#waiting.delete(id)
  }
}
