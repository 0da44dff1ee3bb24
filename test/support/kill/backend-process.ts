import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { acceptOf } from '../backend.ts'

// A backend with the name of the first argument, at the port of the second (0 for any). It sends each line of a tunnel back
// after its name, and responds to plain requests with 200. It sends its port to its parent, and ends with its parent or at
// once by SIGTERM.
const [, , name = '', port = '0'] = process.argv
process.on('disconnect', () => process.exit())

const server = createServer((_req, res) => res.end(name))
server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => {})
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Accept: ${acceptOf(req.headers['sec-websocket-key'] ?? '')}`,
      `X-Backend: ${name}`,
      '\r\n',
    ].join('\r\n'),
  )
  socket.unshift(head)
  createInterface({ input: socket })
    .on('line', line => socket.write(`${name} ${line}\n`))
    .on('error', () => {})
    .on('close', () => socket.end())
})
server.listen({ port: Number(port), host: '127.0.0.1' }, () => process.send?.((server.address() as AddressInfo).port))
