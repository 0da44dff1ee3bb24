// Beside socket.io on the same server: the upgrades below /live are for the tunnel, and socket.io handles its own.
// node examples/beside-socket-io.ts, then: npx wscat -c ws://localhost:8080/live/
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const app = express()
const tunnel = wsTunnel({ target: `ws://127.0.0.1:${backendPort}/` })
app.use('/live', tunnel)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)

// Without `destroyUpgrade: false` socket.io would end a handshake of the tunnel that takes longer than one second.
const io = new Server(server, { destroyUpgrade: false })
io.on('connection', socket => {
  socket.on('hello', (name: string, reply: (text: string) => void) => reply(`hello ${name}`))
})

await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    await io.close() // also closes the server
    backend.close()
  })
}
