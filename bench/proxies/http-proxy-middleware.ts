import { Agent } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { createServer, KEEP_ALIVE, SECURE, serve, TARGET } from './serve.ts'

const proxy = createProxyMiddleware({
  target: TARGET,
  // Without it, the certificate would have to be for the client's Host.
  changeOrigin: SECURE,
  ...(KEEP_ALIVE ? { agent: new Agent({ keepAlive: true }) } : {}),
})
const app = express()
app.use(proxy)
const server = createServer(app)
server.on('upgrade', proxy.upgrade)
serve(server)
