import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createTunnelProxy, listenForUpgrades, type WsTunnelOptions } from '@ws-tunnel/core'
import * as certificates from '../support/tls.ts'
import { appOf, listening } from './gateway.ts'

// A gateway with the options of the first argument, over TLS if the second says so; tells its port, then its memory
// whenever it is asked.
const [, , options = '', wire] = process.argv
const app = appOf(createTunnelProxy(JSON.parse(options) as WsTunnelOptions))
const server = wire === 'tls' ? createTlsServer(certificates.server, app) : createServer(app)
listenForUpgrades(server, app)

process.on('message', () => {
  globalThis.gc?.()
  globalThis.gc?.()
  process.send?.(process.memoryUsage())
})
process.send?.({ port: await listening(server) })
