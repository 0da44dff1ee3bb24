import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { BACKEND_PORT, KEEP_ALIVE, serve } from './serve.ts'

const proxy = createProxyServer({
  target: `http://127.0.0.1:${BACKEND_PORT}`,
  ...(KEEP_ALIVE ? { agent: new Agent({ keepAlive: true }) } : {}),
})
proxy.on('error', () => {})
const server = createServer((req, res) => proxy.web(req, res))
server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head))
serve(server)
