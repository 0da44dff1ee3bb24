// A gateway of a fleet: node fleet-gateway.ts <path of Redis, or "cluster"> <URL of a member>...
// It prints `listening on <url>`. A primary has two workers, and starts another for each that ends. SIGUSR2 closes its store,
// and the next SIGUSR2 opens a new one.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { managerPage } from '@ws-tunnel/manager'
import { clusterStore, serveClusterStore } from '@ws-tunnel/manager/cluster'
import { redisStore } from '@ws-tunnel/manager/redis'

const [where = '', ...members] = process.argv.slice(2)

async function serve(): Promise<void> {
  const proxy = createTunnelProxy({
    balancers: { chat: { members: members.map(url => ({ url })) } },
    target: 'balancer://chat/',
  })
  const store = where === 'cluster' ? clusterStore() : redisStore({ socket: { path: where, tls: false } })
  const manager = managerPage(proxy, {
    unsafeOpen: true,
    path: '/manager',
    store,
    onProblem: ({ message }) => console.log(message),
  })
  await manager.ready
  const server = createServer((req, res) => manager(req, res))
  listenForUpgrades(server, (req, res) => void proxy.handle(req, res).catch(() => res.writeHead(503).end()))
  // Each worker has its own port.
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true })
  await once(server, 'listening')
  console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`)
  process.once('SIGTERM', async () => {
    server.close()
    server.closeAllConnections()
    await manager.close()
    await proxy.close({ drainTimeout: 0 })
    cluster.worker?.disconnect()
  })
}

function keepWorkers(): void {
  let store: ReturnType<typeof serveClusterStore> | undefined = serveClusterStore()
  process.on('SIGUSR2', () => {
    store?.close()
    store = store === undefined ? serveClusterStore() : undefined
  })
  cluster.fork()
  cluster.fork()
  const startWorker = (): void => void cluster.fork()
  cluster.on('exit', startWorker)
  process.once('SIGTERM', () => {
    cluster.off('exit', startWorker)
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM')
    store?.close()
  })
}

if (where === 'cluster' && cluster.isPrimary) keepWorkers()
else await serve()
