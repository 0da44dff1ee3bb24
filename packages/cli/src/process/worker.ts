import { ignoreSignals } from './control.ts'
import { isOurMessage, type PrimaryMessage, type WorkerMessage } from './messages.ts'
import { become, identityOf } from './privileges.ts'
import { type RunSettings, readConfiguration } from './read-configuration.ts'
import { Serving } from './serving.ts'

const send = (message: WorkerMessage): void => void process.send?.(message, undefined, undefined, () => {})

/** Serves as a worker of {@link serveWithWorkers}, until the primary process stops it. Resolves to the exit code. */
export async function serveAsWorker(settings: RunSettings): Promise<number> {
  ignoreSignals()
  const first = readConfiguration(settings)
  // The primary has read the same file a moment ago, and reports what is wrong with it.
  if ('problem' in first) return 1
  const serving = new Serving(first, settings)
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
  } catch (error) {
    serving.errorLog.write('error', `could not serve: ${(error as Error).message}`)
    await serving.close(0)
    return end(1)
  }
  const stopped = new Promise<void>(resolve => {
    process.on('message', (message: unknown) => {
      if (!isOurMessage(message)) return
      const { wsTunnel, ...rest } = message as PrimaryMessage
      if (wsTunnel === 'stop') void serving.close((rest as { drainTimeout: number }).drainTimeout).then(resolve)
      else send({ wsTunnel: 'alive', id: (rest as { id: number }).id })
    })
  })
  send({ wsTunnel: 'ready' })
  await stopped
  return end(0)
}
