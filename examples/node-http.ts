// node:http without a framework. The promise of `handle` resolves with whether a route took the request.
// node examples/node-http.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createTunnelProxy, listenForUpgrades, type WsTunnelError } from '@ws-tunnel/core'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const backendPort = (backend.address() as AddressInfo).port

const proxy = createTunnelProxy({
  routes: [{ path: '/chat/', target: `ws://127.0.0.1:${backendPort}/` }],
})

const handler: RequestListener = async (req, res) => {
  try {
    if (await proxy.handle(req, res)) return
    res.statusCode = 404
    res.end('Nothing here\n')
  } catch (error) {
    const { statusCode = 500, code } = error as WsTunnelError
    res.writeHead(statusCode).end(`${code}\n`)
  }
}

const server = createServer(handler)
listenForUpgrades(server, handler)
server.listen(Number(process.env.PORT ?? 8080))
await once(server, 'listening')
console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await proxy.close()
    server.close()
    backend.close()
  })
}
