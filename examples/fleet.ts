// A fleet: two workers of node:cluster serve one port. A member that is drained on the page of one worker is drained in
// both. With REDIS_URL it is also drained on other machines.
// node examples/fleet.ts, then drain a member on http://localhost:8080/manager/, and: npx wscat -c ws://localhost:8080/chat/
import cluster from 'node:cluster'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import { managerPage } from '@ws-tunnel/manager'
import { clusterStore, serveClusterStore } from '@ws-tunnel/manager/cluster'
import { redisStore } from '@ws-tunnel/manager/redis'
import express from 'express'
import { WebSocketServer } from 'ws'

async function backend(name: string): Promise<string> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  server.on('connection', socket => {
    socket.on('message', data => socket.send(`${name} received ${data}`))
  })
  await once(server, 'listening')
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function primary(): Promise<void> {
  serveClusterStore()
  // Workers accept connections themselves. Node's default passes each one on, which doubles the cost of opening a tunnel.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  const members = JSON.stringify([await backend('one'), await backend('two')])
  const secret = crypto.randomUUID()
  const startWorker = (): void => void cluster.fork({ MEMBERS: members, SECRET: secret })
  startWorker()
  startWorker()
  cluster.on('exit', startWorker)
  cluster.once('listening', (_worker, { port }) => console.log(`listening on http://localhost:${port}`))
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      cluster.off('exit', startWorker)
      const workers = Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
      const ends = workers.map(worker => once(worker, 'exit'))
      for (const worker of workers) worker.process.kill('SIGTERM')
      await Promise.all(ends)
      process.exit()
    })
  }
}

async function worker(): Promise<void> {
  const app = express()
  const chat = wsTunnel({
    balancers: { chat: { members: JSON.parse(String(process.env.MEMBERS)).map((url: string) => ({ url })) } },
    target: 'balancer://chat/',
  })
  const url = process.env.REDIS_URL
  const manager = managerPage(chat, {
    unsafeOpen: true, // for this machine only; elsewhere set authorize
    secret: String(process.env.SECRET),
    store: url === undefined ? clusterStore() : redisStore({ url }),
  })
  await manager.ready
  app.use('/manager', manager)
  app.use('/chat', chat)
  const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1')
  listenForUpgrades(server, app)
  process.on('SIGINT', () => {}) // the primary sends SIGTERM
  process.once('SIGTERM', async () => {
    await manager.close()
    await chat.close()
    server.close(() => process.disconnect())
  })
}

await (cluster.isPrimary ? primary() : worker())
