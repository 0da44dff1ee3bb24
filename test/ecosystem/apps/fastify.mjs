import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import session from '@fastify/session'
import websocket from '@fastify/websocket'
import { wsTunnelPlugin } from '@ws-tunnel/fastify'
import Fastify from 'fastify'

const [, , backend] = process.argv
const fastify = Fastify({ logger: true })
await fastify.register(cookie)
await fastify.register(session, { secret: 'x'.repeat(32), cookie: { secure: false } })
await fastify.register(helmet)
await fastify.register(cors)
await fastify.register(rateLimit, { max: 1000 })
await fastify.register(websocket)
fastify.addHook('onRequest', async request => {
  request.session.set('user', request.query.user)
})
await fastify.register(wsTunnelPlugin, {
  prefix: '/chat',
  target: `ws://${backend}/`,
  requestHeaders: (headers, { req }) => headers.set('X-User', req.session.get('user') ?? 'guest'),
})
await fastify.register(async scope => {
  scope.get('/own', { websocket: true }, socket => {
    socket.on('message', message => socket.send(`own ${message}`))
  })
})
fastify.get('/', async () => 'app')
await fastify.listen({ port: 0 })
