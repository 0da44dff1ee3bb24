// A deploy that cuts no tunnel: start this program a second time while WebSockets are open. The second process takes the
// listener and the open tunnels over, and the first one ends. The clients and the backend notice nothing.
// npx wscat --listen 9000, then: node examples/handover.ts, twice, and: npx wscat -c ws://localhost:8080/chat/
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express from 'express'

const app = express()
const chat = wsTunnel({ target: process.env.BACKEND ?? 'ws://localhost:9000/' })
app.use('/chat', chat)

const server = createServer(app)
listenForUpgrades(server, app, {
  handover: {
    path: process.env.HANDOVER ?? join(tmpdir(), 'ws-tunnel-example.sock'),
    onHandedOver: ({ moved }) => console.log(`the next process has taken ${moved} tunnels`),
  },
})
server.listen(Number(process.env.PORT ?? 8080), () => {
  console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)
})

process.once('SIGTERM', async () => {
  await chat.close()
  server.close()
})
