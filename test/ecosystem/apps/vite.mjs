import { createServer } from 'node:http'
import { wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import { createServer as createViteServer } from 'vite'

const [, , backend] = process.argv
const app = express()
const server = createServer(app)
const vite = await createViteServer({
  appType: 'custom',
  logLevel: 'silent',
  root: import.meta.dirname,
  server: { middlewareMode: true, hmr: { server } },
})
app.use('/chat', wsTunnel({ target: `ws://${backend}/` }))
app.use(vite.middlewares)
app.get('/', (_req, res) => res.send('app'))
console.log(`token ${vite.config.webSocketToken}`)
server.listen(0)
