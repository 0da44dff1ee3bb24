// Connect: the same middleware as for Express, under /chat.
// node examples/connect.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import connect from 'connect'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const app = connect()
const chat = wsTunnel({ target: `ws://127.0.0.1:${backendPort}/` })
app.use('/chat', chat)
app.use((_req, res) => {
  res.end('An ordinary route of the app\n')
})

const server = createServer(app)
listenForUpgrades(server, app)
server.listen(Number(process.env.PORT ?? 8080))
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await chat.close()
    server.close()
    backend.close()
  })
}
