import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { wsTunnel } from '@ws-tunnel/express'
import express from 'express'
import next from 'next'

const [, , backend] = process.argv
const dir = import.meta.dirname
mkdirSync(join(dir, 'pages'), { recursive: true })
writeFileSync(join(dir, 'pages/index.js'), "export default function Home() { return 'app' }\n")
const app = express()
app.use('/chat', wsTunnel({ target: `ws://${backend}/` }))
const server = createServer(app)
const site = next({ dev: true, dir, httpServer: server })
await site.prepare()
const handle = site.getRequestHandler()
app.use((req, res) => handle(req, res))
server.listen(0)
