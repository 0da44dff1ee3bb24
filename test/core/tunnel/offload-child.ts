import { createServer } from 'node:http'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { appOf, listen } from '../../support/server.ts'

// A gateway to the port of the first argument, in a worker if the second is `worker`. It listens until its first tunnel
// is open. Sends its port and whether the tunnel is offloaded to the parent process. Any message ends the worker.
const [, , port, where] = process.argv
const send = (message: unknown): void =>
  isMainThread ? void process.send?.(message) : parentPort?.postMessage(message)

async function serve(target: string): Promise<void> {
  const proxy = createTunnelProxy({
    target,
    onOpen: ({ tunnel }) => {
      send({ offloaded: tunnel.offloaded })
      server.close()
      if (isMainThread) process.disconnect?.()
    },
  })
  const app = appOf(proxy)
  const server = createServer(app)
  listenForUpgrades(server, app)
  send({ port: await listen(server) })
}

if (!isMainThread) await serve(workerData as string)
else if (where === 'worker') {
  const worker = new Worker(new URL(import.meta.url), { workerData: `ws://127.0.0.1:${port}/` })
  worker.on('message', message => process.send?.(message))
  process.on('message', () => void worker.terminate().then(() => process.send?.({ terminated: true })))
} else await serve(`ws://127.0.0.1:${port}/`)
