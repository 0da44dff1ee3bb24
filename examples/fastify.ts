// Fastify: the plugin under a prefix, and the handler on a route with a preHandler.
// node examples/fastify.ts, then: npx wscat -c ws://localhost:8080/chat/lobby
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import Fastify from 'fastify'
import { WebSocketServer } from 'ws'

const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
backend.on('connection', (socket, req) => {
  socket.on('message', data => socket.send(`${req.url} received ${data}`))
})
await once(backend, 'listening')
const target = `ws://127.0.0.1:${(backend.address() as AddressInfo).port}`

const fastify = Fastify()
fastify.get('/', async () => 'An ordinary route of the app\n')

await fastify.register(wsTunnelPlugin, { prefix: '/chat', target })

// Hooks run before the proxy connects to the backend, for upgrades as for other requests.
const live = wsTunnelHandler({ target })
fastify.get(
  '/live',
  {
    preHandler: async (request, reply) => {
      if (request.headers.authorization !== 'Bearer secret') return reply.code(401).send({ error: 'Who are you?' })
    },
  },
  live,
)

await fastify.listen({ port: Number(process.env.PORT ?? 8080) })
console.log(`listening on http://localhost:${(fastify.server.address() as AddressInfo).port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await fastify.close()
    backend.close()
  })
}
