import { Agent, createServer } from 'node:http'
import type { Socket } from 'node:net'
import { createProxyServer } from 'httpxy'
import { BACKEND_PORT, KEEP_ALIVE, serve } from './serve.ts'

const proxy = createProxyServer({
  target: `http://127.0.0.1:${BACKEND_PORT}`,
  ...(KEEP_ALIVE ? { agent: new Agent({ keepAlive: true }) } : {}),
})
proxy.on('error', () => {})
const server = createServer((req, res) => void proxy.web(req, res))
server.on('upgrade', (req, socket, head) => void proxy.ws(req, socket as Socket, {}, head))
serve(server)
