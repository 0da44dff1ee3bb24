// Headers: which fields the backend receives about the client, and which fields the client receives from the backend.
// node examples/headers.ts, then: curl -i http://localhost:8080/app/
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

// The backend returns the header fields that it received. Its Location has its own address, and its cookie its own path.
const backendServer = createServer((req, res) => {
  res.setHeader('Location', `http://127.0.0.1:${backendPort}/login`)
  res.setHeader('Set-Cookie', 'sid=1; Path=/')
  res.setHeader('X-Engine', 'internal')
  res.end(JSON.stringify(req.headers))
}).listen(0, '127.0.0.1')
const backend = new WebSocketServer({ server: backendServer })
backend.on('connection', (socket, req) => {
  socket.on('message', () => socket.send(JSON.stringify(req.headers)))
})
await once(backendServer, 'listening')
const backendPort = (backendServer.address() as AddressInfo).port

const app = express()
const tunnel = wsTunnel({
  target: `ws://127.0.0.1:${backendPort}/`,
  trustProxy: 'loopback', // peers whose X-Forwarded-* fields are trusted
  serverName: 'gateway.example',
  preserveHost: true, // ProxyPreserveHost On
  via: 'on', // ProxyVia On
  requestHeaders: { set: { 'X-Gateway': 'ws-tunnel' }, unset: ['X-Debug'] }, // RequestHeader, also for upgrades
  responseHeaders: { append: { 'X-Frame-Options': 'DENY' }, unset: ['X-Engine'] }, // Header, also for the 101
  passReverse: { [`http://127.0.0.1:${backendPort}/`]: '/app/' }, // ProxyPassReverse
  passReverseCookiePath: { '/': '/app/' }, // ProxyPassReverseCookiePath
})
app.use('/app', tunnel)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    server.close()
    backend.close()
    backendServer.close()
  })
}
