import { Agent } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { createServer, KEEP_ALIVE, SECURE, serve, TARGET } from './serve.ts'

const proxy = createProxyServer({
  target: TARGET,
  // Without it, the certificate would have to be for the client's Host.
  changeOrigin: SECURE,
  ...(KEEP_ALIVE ? { agent: new Agent({ keepAlive: true }) } : {}),
})
proxy.on('error', () => {})
const server = createServer((req, res) => proxy.web(req, res))
server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head))
serve(server)
