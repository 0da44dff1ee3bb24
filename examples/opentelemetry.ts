// OpenTelemetry: turns the diagnostics channels of ws-tunnel into spans. This exporter prints them, others send them.
// node examples/opentelemetry.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { propagation } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, ConsoleSpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'
import { traceTunnels } from './opentelemetry/spans.ts'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

propagation.setGlobalPropagator(new W3CTraceContextPropagator())
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] })
const stopTracing = traceTunnels(provider.getTracer('ws-tunnel'))

const app = express()
const chat = wsTunnel({
  routes: [
    { path: '/chat', target: `ws://127.0.0.1:${backendPort}/` },
    { path: '/gone', target: 'ws://127.0.0.1:1/' },
  ],
})
app.use(chat)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await chat.close()
    stopTracing()
    await provider.shutdown()
    server.close()
    backend.close()
  })
}
