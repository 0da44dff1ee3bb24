// Routes are tried in order, and the first match is used. The backend of this example replies with the path it received.
// node examples/routes.ts, then: npx wscat -c ws://localhost:8080/rooms/42/ws
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', () => socket.send(String(req.url)))
})
await once(backend, 'listening')
const base = `ws://127.0.0.1:${(backend.address() as AddressInfo).port}`

const app = express()
const tunnel = wsTunnel({
  idleTimeout: 60_000, // the default of every route below
  routes: [
    // ProxyPass "/chat/admin" "!": the request goes back to the app.
    { path: '/chat/admin', target: false },
    // ProxyPass "/chat" "ws://…/talk"
    { path: '/chat', target: `${base}/talk` },
    // A path-to-regexp pattern: /users/7/feed becomes /feeds/7.
    { path: '/users/:id/feed', target: `${base}/feeds/:id` },
    // ProxyPassMatch "^/rooms/(\d+)/ws$" "ws://…/room/$1"
    { path: /^\/rooms\/(\d+)\/ws$/, target: `${base}/room/$1`, idleTimeout: 0 },
    // A function is trusted code. The rest of the path is appended to its URL: /tenants/x becomes /tenant/HOST/x.
    { path: '/tenants', target: req => `${base}/tenant/${encodeURIComponent(req.headers.host ?? 'none')}` },
  ],
})
app.use(tunnel)
app.use('/chat/admin', (_req, res) => {
  res.send('This response comes from the app\n')
})

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    server.close()
    backend.close()
  })
}
