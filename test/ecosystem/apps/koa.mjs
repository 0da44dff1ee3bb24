import { createServer } from 'node:http'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import Koa from 'koa'

const [, , backend] = process.argv
const proxy = createTunnelProxy({ target: `ws://${backend}/` })
const app = new Koa()
app.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/chat/')) return next()
  const handled = await proxy.handle(ctx.req, ctx.res, { mount: '/chat', url: ctx.url.slice('/chat'.length) })
  if (handled) ctx.respond = false
})
app.use(ctx => {
  ctx.body = 'app'
})
const listener = app.callback()
const server = createServer(listener)
listenForUpgrades(server, listener)
server.listen(0)
