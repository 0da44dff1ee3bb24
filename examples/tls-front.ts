// TLS on both sides: clients connect over wss, and the proxy connects to the backend over wss and checks its
// certificate. The certificate in examples/tls is public and only for this example. Its name is `localhost`.
// node examples/tls-front.ts, then: npx wscat --no-check -c wss://localhost:8080/
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const cert = readFileSync(new URL('tls/cert.pem', import.meta.url))
const key = readFileSync(new URL('tls/key.pem', import.meta.url))

const backendServer = createServer({ cert, key }).listen(0, '127.0.0.1')
const backend = new WebSocketServer({ server: backendServer })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.headers['x-forwarded-proto']} ${data}`))
})
await once(backendServer, 'listening')
const backendPort = (backendServer.address() as AddressInfo).port

const app = express()
const tunnel = wsTunnel({
  target: `wss://127.0.0.1:${backendPort}/`,
  // `ca` is SSLProxyCACertificateFile. `servername` is needed because the URL has an IP address. It is the name that is
  // sent (SNI) and that the certificate must have.
  tls: { ca: cert, servername: 'localhost' },
})
app.use(tunnel)

const server = createServer({ cert, key }, app)
listenForUpgrades(server, app)
server.listen(Number(process.env.PORT ?? 8080))
await once(server, 'listening')
console.log(`listening on https://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    server.close()
    backend.close()
    backendServer.close()
  })
}
