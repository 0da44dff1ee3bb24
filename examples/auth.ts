// Auth: the app's middleware runs before the tunnel, for upgrades too. A refusal is an ordinary HTTP response, and
// nothing reaches the backend.
// node examples/auth.ts, then: npx wscat -H 'Authorization: Bearer tony' -c ws://localhost:8080/private/
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express, { type RequestHandler } from 'express'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.headers['x-user']} says ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const users = new WeakMap<object, string>()
const requireUser: RequestHandler = (req, res, next) => {
  const user = /^Bearer (\w+)$/.exec(req.headers.authorization ?? '')?.[1]
  if (user === undefined) {
    res.status(401).json({ error: 'Who are you?' })
    return
  }
  users.set(req, user)
  next()
}

const app = express()
const tunnel = wsTunnel({
  target: `ws://127.0.0.1:${backendPort}/`,
  // Sends the name of the user to the backend. It replaces an X-User field of the client. The token is not sent to the
  // backend.
  requestHeaders: (headers, { req }) => {
    headers.set('X-User', users.get(req) ?? '').unset('authorization')
  },
  // A browser sends cookies with the requests of every page. An app with logins by cookie lists the pages that may open
  // a tunnel.
  allowedOrigins: ['https://app.example'],
})
app.use('/private', requireUser, tunnel)

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
