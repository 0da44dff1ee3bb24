import { createServer } from 'node:http'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import { wsTunnelPlugin } from '@ws-tunnel/fastify'
import { hpm } from '@ws-tunnel/http-proxy-middleware'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { managerPage } from '@ws-tunnel/manager'
import { clusterStore } from '@ws-tunnel/manager/cluster'
import { metricsPage } from '@ws-tunnel/manager/metrics'
import { redisStore } from '@ws-tunnel/manager/redis'
import express from 'express'
import Fastify from 'fastify'

const [, , backend] = process.argv
const app = express()
const chat = wsTunnel({
  target: `ws://${backend}/`,
  onClose: ({ tunnel }) => console.log('offloaded:', tunnel.offloaded),
})
app.use('/chat', chat)
app.use('/hpm', wsTunnel({ target: `http://${backend}/`, fallback: hpm() }))
app.use('/conf', wsTunnel(fromHttpdConf({ text: `ProxyPass "/" "http://${backend}/"` })))
app.use('/manager', managerPage(chat, { authorize: () => true }))
app.get('/', (_req, res) => res.send('app'))
const fastify = Fastify()
fastify.register(wsTunnelPlugin, { target: `ws://${backend}/` })
fastify.ready(() => console.log('fastify is ready'))
console.log([clusterStore, metricsPage, redisStore].every(each => typeof each === 'function'))
const server = createServer(app)
listenForUpgrades(server, app)
server.listen(0)
