// A backend on a unix socket: the target is the path of the socket, a bar and a URL. The backend gets the host of this
// URL as `Host`.
// node examples/unix-socket.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const directory = mkdtempSync(join(tmpdir(), 'ws-tunnel-'))
const socketPath = join(directory, 'backend.sock')
const backendServer = createServer().listen(socketPath)
const backend = new WebSocketServer({ server: backendServer })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.headers.host}${req.url} received ${data}`))
})
await once(backendServer, 'listening')

const app = express()
const tunnel = wsTunnel({ target: `unix:${socketPath}|ws://chat.internal/` })
app.use('/chat', tunnel)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    server.close()
    backend.close()
    backendServer.close(() => rmSync(directory, { recursive: true }))
  })
}
