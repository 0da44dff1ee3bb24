import { MAX_DELAY } from '@ws-tunnel/core'
import { type Signals, writePidFile } from './control.ts'
import { startNext } from './next-process.ts'
import type { Ready, RunSettings } from './read-configuration.ts'
import type { ServiceManager } from './service-manager.ts'
import { Serving } from './serving.ts'

/** Serves in this process until a signal stops it, and resolves to the exit code. */
export async function serveAlone(
  first: Ready,
  settings: RunSettings,
  signals: Signals,
  services: ServiceManager,
): Promise<number> {
  const serving = new Serving(first, settings)
  let removePidFile: () => void
  try {
    await serving.beginTakeOver()
    await serving.listen(first)
    removePidFile = writePidFile(first.configuration.main.settings.pidFile)
  } catch (error) {
    serving.errorLog.write('error', `could not listen: ${(error as Error).message}`)
    await serving.close(0)
    await serving.closeLogs()
    return 1
  }
  services.ready('serving')
  services.watch(() => true)
  void serving.takeTunnels()

  const { gracefulShutdownTimeout } = first.configuration.main.settings
  const handedOver = await new Promise<boolean>((resolve, reject) => {
    let isStopping = false
    void serving.handedOver.then(() => resolve(true))
    signals.listen((command, signal) => {
      if (isStopping && (command === 'reload' || command === 'hand-over')) return
      if (command === 'hand-over') {
        startNext(settings, serving.errorLog)
        return
      }
      if (command === 'reload') {
        services.reloading()
        void serving.reload().then(() => services.ready('serving'))
        return
      }
      // A stop during a graceful stop sets a limit to it. A second stop changes nothing: under npm one Ctrl-C arrives twice.
      if (!isStopping) services.stopping()
      isStopping = true
      serving.errorLog.write('notice', `caught ${signal}, draining`)
      const drainTimeout = command === 'stop' ? settings.drainTimeout : gracefulShutdownTimeout || MAX_DELAY
      serving.close(drainTimeout).then(() => resolve(false), reject)
    })
  })
  services.close()
  if (handedOver) await serving.close(0)
  // The next process has written its own number into the file.
  else removePidFile()
  serving.errorLog.write('notice', handedOver ? 'handed over, ending' : 'drained, ending')
  await serving.closeLogs()
  return 0
}
