// Conditions, as in the usual Apache recipe: WebSockets go to one backend, other requests with the same paths to another.
//   RewriteCond %{HTTP:Upgrade} websocket [NC]
//   RewriteCond %{HTTP:Connection} upgrade [NC]
//   RewriteRule ^/?(.*) "ws://localhost:5000/$1" [P,L]
//   ProxyPass "/" "http://localhost:5001/"
// node examples/conditions.ts, then: npx wscat -c ws://localhost:8080/any and curl http://localhost:8080/any
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { WebSocketServer } from 'ws'

const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0 })
sockets.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
const pages = createServer((req, res) => {
  res.end(`a page for ${req.url}\n`)
}).listen(0, '127.0.0.1')
await Promise.all([once(sockets, 'listening'), once(pages, 'listening')])
const portOf = (listening: { address(): unknown }): number => (listening.address() as AddressInfo).port

const app = express()
const tunnel = wsTunnel({
  routes: [
    {
      path: /^\/?(.*)$/,
      target: `ws://127.0.0.1:${portOf(sockets)}/$1`,
      when: [
        { header: 'upgrade', matches: /websocket/i },
        { header: 'connection', matches: /upgrade/i },
      ],
    },
    { path: '/', target: `http://127.0.0.1:${portOf(pages)}/` },
  ],
})
app.use(tunnel)

const server = app.listen(Number(process.env.PORT ?? 8080))
listenForUpgrades(server, app)
await once(server, 'listening')
console.log(`listening on http://localhost:${portOf(server)}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await tunnel.close()
    for (const each of [server, sockets, pages]) each.close()
  })
}
