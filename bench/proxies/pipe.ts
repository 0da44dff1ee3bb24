import * as http from 'node:http'
import * as https from 'node:https'
import { BACKEND_PORT, createServer, SECURE, serve } from './serve.ts'

// The smallest Node proxy: no limits, no header rules, no error responses.
const { Agent, request } = SECURE ? https : http
const agent = new Agent({ keepAlive: true })
const host = SECURE ? 'localhost' : '127.0.0.1'
const servername = 'localhost'

const server = createServer((req, res) => {
  const { method = 'GET', url: path, headers } = req
  const outgoing = request({ host, servername, port: BACKEND_PORT, method, path, headers, agent }, response => {
    res.writeHead(response.statusCode ?? 502, response.rawHeaders)
    response.pipe(res)
  })
  outgoing.on('error', () => res.destroy())
  req.pipe(outgoing)
})
server.on('upgrade', (req, client, head) => {
  const outgoing = request({ host, servername, port: BACKEND_PORT, path: req.url, headers: req.headers, agent: false })
  client.on('error', () => outgoing.destroy())
  outgoing.on('error', () => client.destroy())
  outgoing.on('upgrade', (response, backend, first) => {
    const fields = response.rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
    backend.on('error', () => client.destroy())
    if (head.length > 0) backend.write(head)
    if (first.length > 0) client.write(first)
    client.pipe(backend)
    backend.pipe(client)
  })
  outgoing.end()
})
serve(server)
