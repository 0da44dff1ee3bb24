import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { getHeapSpaceStatistics } from 'node:v8'
import { createTunnelProxy, listenForUpgrades, type WsTunnelOptions } from '@ws-tunnel/core'
import { appOf, listen } from '../../support/server.ts'
import * as certificates from '../../support/tls.ts'

// A gateway with the options of the first argument, over TLS if the second is `tls`. Sends its port to the parent
// process. To each message it replies with its memory: for `old` the size of V8's old space as it is, else the usage
// after full collections.
const [, , options = '', wire] = process.argv
const app = appOf(createTunnelProxy(JSON.parse(options) as WsTunnelOptions))
const server = wire === 'tls' ? createTlsServer(certificates.server, app) : createServer(app)
listenForUpgrades(server, app)

process.on('message', what => {
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
