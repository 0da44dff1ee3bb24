// Shutdown: after SIGTERM new upgrades get 503, and open tunnels have ten seconds to finish. Then nothing is open any
// more, and the process ends by itself.
// node examples/shutdown.ts, then: npx wscat -c ws://localhost:8080/chat/ and kill -TERM the process
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', socket => {
  socket.on('message', data => socket.send(String(data)))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const app = express()
const chat = wsTunnel({
  target: `ws://127.0.0.1:${backendPort}/`,
  drainTimeout: 10_000,
  onClose: ({ end }) => {
    console.log(`tunnel ended: ${end.reason}, ${end.bytesFromClient} bytes up, ${end.bytesFromBackend} down`)
  },
})
app.use('/chat', chat)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    console.log(`draining ${chat.tunnels.size} open tunnels`)
    await chat.close()
    server.close()
    backend.close()
  })
}
