// Express: a WebSocket backend under /chat, beside the routes of the app.
// node examples/express.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const app = express()
app.get('/', (_req, res) => {
  res.send('An ordinary route of the app\n')
})

// ProxyPass "/chat" "ws://127.0.0.1:…/": `app.use` removes /chat from the path, and the backend receives the rest.
const chat = wsTunnel({ target: `ws://127.0.0.1:${backendPort}/` })
app.use('/chat', chat)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await chat.close()
    server.close()
    backend.close()
  })
}
