import type { AddressInfo } from 'node:net'
import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'
import { announce, BACKEND_PORT } from './serve.ts'

const app = fastify()
await app.register(httpProxy, { upstream: `http://127.0.0.1:${BACKEND_PORT}`, websocket: true })
await app.listen({ host: '127.0.0.1', port: 0 })
announce((app.server.address() as AddressInfo).port)
