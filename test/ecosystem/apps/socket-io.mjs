import { createServer } from 'node:http'
import { wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { Server } from 'socket.io'

const [, , backend] = process.argv
const app = express()
app.use('/chat', wsTunnel({ target: `ws://${backend}/` }))
app.get('/', (_req, res) => res.send('app'))
const server = createServer(app)
new Server(server).on('connection', socket => {
  socket.on('say', (text, reply) => reply(`socket.io ${text}`))
})
server.listen(0)
