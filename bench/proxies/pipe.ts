import { Agent, createServer, request } from 'node:http'
import { BACKEND_PORT, serve } from './serve.ts'

// What a Node proxy comes down to: no limits, no header rules, no error answers.
const agent = new Agent({ keepAlive: true })

const server = createServer((req, res) => {
  const { method = 'GET', url: path, headers } = req
  const ask = request({ host: '127.0.0.1', port: BACKEND_PORT, method, path, headers, agent }, answer => {
    res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    answer.pipe(res)
  })
  ask.on('error', () => res.destroy())
  req.pipe(ask)
})
server.on('upgrade', (req, client, head) => {
  const ask = request({ host: '127.0.0.1', port: BACKEND_PORT, path: req.url, headers: req.headers, agent: false })
  client.on('error', () => ask.destroy())
  ask.on('error', () => client.destroy())
  ask.on('upgrade', (answer, backend, first) => {
    const fields = answer.rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
    backend.on('error', () => client.destroy())
    if (head.length > 0) backend.write(head)
    if (first.length > 0) client.write(first)
    client.pipe(backend)
    backend.pipe(client)
  })
  ask.end()
})
serve(server)
