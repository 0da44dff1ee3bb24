import { Agent, createServer } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { BACKEND_PORT, KEEP_ALIVE, serve } from './serve.ts'

const proxy = createProxyMiddleware({
  target: `http://127.0.0.1:${BACKEND_PORT}`,
  ...(KEEP_ALIVE ? { agent: new Agent({ keepAlive: true }) } : {}),
})
const app = express()
app.use(proxy)
const server = createServer(app)
server.on('upgrade', proxy.upgrade)
serve(server)
