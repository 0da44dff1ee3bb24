// Compiled with every supported compiler and module setting, and then run: an app that imports every entry of every package.
import { type Balancer, createTunnelProxy, explain, WsTunnelError } from '@ws-tunnel/core'
import { isIdempotent } from '@ws-tunnel/core/engine'
import { type WsTunnelMiddleware, wsTunnel } from '@ws-tunnel/express'
import plugin, { wsTunnelHandler, wsTunnelPlugin } from '@ws-tunnel/fastify'
import { hpm } from '@ws-tunnel/http-proxy-middleware'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { managerPage } from '@ws-tunnel/manager'
import { clusterStore } from '@ws-tunnel/manager/cluster'
import { managerPlugin } from '@ws-tunnel/manager/fastify'
import { metricsPage } from '@ws-tunnel/manager/metrics'
import { redisStore } from '@ws-tunnel/manager/redis'
import { addon } from '@ws-tunnel/native'
import express from 'express'
import Fastify from 'fastify'

const app = express()
const tunnel: WsTunnelMiddleware = wsTunnel<express.Request>({
  target: req => `ws://localhost:9/${req.ip}`,
  fallback: hpm(),
  onError: ({ error }) => console.log(error.code satisfies string),
})
app.use('/chat', tunnel)
const fastify = Fastify()
fastify.register(wsTunnelPlugin, { prefix: '/a', target: req => `ws://localhost:9/${req.id}` })
fastify.register(plugin, fromHttpdConf({ text: 'ProxyPass "/b" "ws://localhost:9/"' }))
fastify.get('/c', wsTunnelHandler({ target: 'ws://localhost:9/' }))
const balancers: ReadonlyMap<string, Balancer> = tunnel.balancers
const proxy = createTunnelProxy({ target: 'ws://localhost:9/' })
const page = managerPage(proxy, { authorize: () => true })
const used = [isIdempotent, clusterStore, managerPlugin, metricsPage, redisStore, explain, WsTunnelError, page, addon]
// @ts-expect-error no such option: without types, this line would be no error
const wrong: Parameters<typeof createTunnelProxy>[0] = { target: 'ws://localhost:9/', tarket: '' }

if (used.includes(undefined)) throw new Error(`an import is undefined: ${used}`)
console.log('imported', balancers.size, typeof wrong)
