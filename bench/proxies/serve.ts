import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Port of the backend that this contestant serves. */
export const BACKEND_PORT = Number(process.argv[2])

/** Backend connections of plain HTTP are kept, where that is not the contestant's own default. */
export const KEEP_ALIVE = process.argv[3] === 'keep-alive'

const delay = monitorEventLoopDelay({ resolution: 5 })

/** Tells the benchmark the port, and the event loop's delay when it asks. */
export function announce(port: number): void {
  process.on('message', (word: string) => {
    if (word === 'watch') delay.enable()
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
