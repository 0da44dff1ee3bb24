import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import { createTunnelProxy, listenForUpgrades, type WsTunnelOptions } from '@ws-tunnel/core'
import { appOf, listen } from '../../support/server.ts'
import * as certificates from '../../support/tls.ts'

// A gateway with the options of the first argument, over TLS if the second is `tls`. Sends its port to the parent
// process. To each message it replies: to `collections` with the number of full collections so far, to `old` with the size of
// V8's old space as it is, else with the usage of memory after full collections.
const [, , options = '', wire] = process.argv
const app = appOf(createTunnelProxy(JSON.parse(options) as WsTunnelOptions))
const server = wire === 'tls' ? createTlsServer(certificates.server, app) : createServer(app)
listenForUpgrades(server, app)

let collections = 0
const count = (entries: readonly object[]): void => {
  for (const { detail } of entries as { detail: { kind: number } }[])
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections++
}
const observer = new PerformanceObserver(list => count(list.getEntries()))
observer.observe({ entryTypes: ['gc'] })

process.on('message', what => {
  if (what === 'collections') {
    count(observer.takeRecords())
    process.send?.(collections)
    return
  }
  if (what === 'old') {
    const old = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')
    process.send?.(old?.space_used_size)
    return
  }
  globalThis.gc?.()
  globalThis.gc?.()
  process.send?.(process.memoryUsage())
})
process.send?.({ port: await listen(server) })
