import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { GCProfiler, type GCProfilerResult, getHeapStatistics } from 'node:v8'
import { hasBackend, hasFront, readKeys, type Tls } from '../tls.ts'

/** The port of the backend. */
export const BACKEND_PORT = Number(process.argv[2])

/** Whether to keep backend connections of plain HTTP. The benchmark sets it for proxies that do not by default. */
export const KEEP_ALIVE = process.argv[3] === 'keep-alive'

const tls = process.env['TLS'] as Tls | undefined

/** Whether the backend has TLS. Its certificate is for `localhost`. */
export const SECURE: boolean = hasBackend(tls)

/** The host and the port of the backend. */
export const BACKEND: string = `${SECURE ? 'localhost' : '127.0.0.1'}:${BACKEND_PORT}`

/** The URL of the backend. */
export const TARGET: string = `${SECURE ? 'https' : 'http'}://${BACKEND}`

/** A server with TLS if the benchmark wants it. */
export const createServer = (listener: RequestListener): Server =>
  hasFront(tls) ? createHttpsServer(readKeys(), listener) : createHttpServer(listener)

/** What a Node process reports of itself: the delay of its event loop, ms, and the bytes that it has allocated. */
export interface Report {
  readonly p50: number
  readonly p99: number
  readonly allocated: number
}

/** Where to listen. Several processes of one contestant share a port. */
export const LISTEN = {
  host: '127.0.0.1',
  port: Number(process.env['BENCH_PORT'] ?? 0),
  ...(process.env['BENCH_PORT'] !== undefined && { reusePort: true }),
}

const delay = monitorEventLoopDelay({ resolution: 5 })
const collector = new GCProfiler()
const usedHeap = (): number => getHeapStatistics().used_heap_size
let usedAtStart = 0

/** Sends the port to the benchmark, and reports what it asked this process to watch. */
export function announce(port: number): void {
  process.on('message', (command: 'delay' | 'garbage' | 'report') => {
    if (command === 'delay') delay.enable()
    else if (command === 'garbage') {
      usedAtStart = usedHeap()
      collector.start()
    } else {
      delay.disable()
      process.send?.({
        p50: delay.percentile(50) / 1e6,
        p99: delay.count === 0 ? Number.NaN : delay.percentile(99) / 1e6,
        allocated: allocated(collector.stop()?.statistics ?? []),
      } satisfies Report)
    }
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ port })
}

/** The growth of the heap since `start`, and what collections have freed since then. */
function allocated(collections: GCProfilerResult['statistics']): number {
  let sum = usedHeap() - usedAtStart
  for (const { beforeGC, afterGC } of collections)
    sum += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize
  return sum
}

export function serve(server: Server): void {
  server.listen(LISTEN, () => announce((server.address() as AddressInfo).port))
}
