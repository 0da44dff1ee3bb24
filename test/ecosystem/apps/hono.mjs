import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { Hono } from 'hono'

const [, , backend] = process.argv
const proxy = createTunnelProxy({ target: `ws://${backend}/` })
const app = new Hono()
app.all('/chat/*', async c => {
  const { incoming, outgoing } = c.env
  const url = incoming.url.slice('/chat'.length)
  return (await proxy.handle(incoming, outgoing, { mount: '/chat', url })) ? RESPONSE_ALREADY_SENT : c.notFound()
})
app.get('/', c => c.text('app'))
const listener = getRequestListener(app.fetch)
const server = createServer(listener)
listenForUpgrades(server, listener)
server.listen(0)
