import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The port of the backend. */
export const BACKEND_PORT = Number(process.argv[2])

/** Whether to keep backend connections of plain HTTP. The benchmark sets it for proxies that do not by default. */
export const KEEP_ALIVE = process.argv[3] === 'keep-alive'

const delay = monitorEventLoopDelay({ resolution: 5 })

/** Sends the port to the benchmark, and the delay of the event loop when the benchmark requests it. */
export function announce(port: number): void {
  process.on('message', (command: string) => {
    if (command === 'watch') delay.enable()
    else {
      delay.disable()
      process.send?.({
        p50: delay.percentile(50) / 1e6,
        p99: delay.count === 0 ? Number.NaN : delay.percentile(99) / 1e6,
      })
    }
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ port })
}

export function serve(server: Server): void {
  server.listen(0, '127.0.0.1', () => announce((server.address() as AddressInfo).port))
}
