import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { echo, openBackend } from '../test/support/backend.ts'
import { openTunnel, type RawClient } from '../test/support/client.ts'
import { eventually } from '../test/support/gate.ts'

// Holds many idle tunnels through a gateway, then opens and closes many more. Gateway, client and backend are three
// processes. Prints figures, and fails if a tunnel, an echo or a descriptor is lost.

/** Descriptors that a process needs in addition to its sockets. */
const SPARE = 200

/** Tunnels that are opened or used at a time. */
const CONCURRENCY = 200

/** Tunnels that are opened and closed before the first figures. */
const WARM_UP = 500

/** Figures of the gateway's process. */
interface Measure {
  rss: number
  heapUsed: number
  tunnels: number
  descriptors: number
  ends: Record<string, number>
}

async function backend(): Promise<void> {
  const { address } = await openBackend(echo())
  process.send?.(address)
}

async function gateway(address: string): Promise<void> {
  const ends: Record<string, number> = {}
  const proxy = createTunnelProxy({
    target: `ws://${address}/`,
    onClose: ({ end }) => {
      ends[end.reason] = (ends[end.reason] ?? 0) + 1
    },
  })
  const server = createServer((req, res) => {
    proxy.handle(req, res).catch((error: { statusCode?: number }) => res.writeHead(error.statusCode ?? 500).end())
  })
  listenForUpgrades(server, (req, res) => void server.emit('request', req, res))
  await new Promise<void>(resolve => server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve))
  process.on('message', () => {
    globalThis.gc?.()
    const { rss, heapUsed } = process.memoryUsage()
    process.send?.({ rss, heapUsed, tunnels: proxy.tunnels.size, descriptors: descriptors(), ends } satisfies Measure)
  })
  process.send?.((server.address() as AddressInfo).port)
}

/** The number of open descriptors of this process, or -1 on a system without /proc. */
function descriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : -1
}

async function start<T>(...args: string[]): Promise<[ChildProcess, T]> {
  const child = fork(fileURLToPath(import.meta.url), args, {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
  })
  const [message] = (await once(child, 'message')) as [T]
  child.on('exit', code => {
    if (code === null) return
    console.error(`the ${args[0]} exited with ${code}`)
    process.exit(1)
  })
  return [child, message]
}

async function soak(): Promise<void> {
  const { values } = parseArgs({
    options: {
      tunnels: { type: 'string', default: '9000' },
      hold: { type: 'string', default: '10' },
      cycles: { type: 'string', default: '20000' },
    },
  })
  const limit = openFilesLimit()
  const most = Math.floor((limit - SPARE) / 2)
  const wanted = Number(values.tunnels)
  const count = Math.min(wanted, most)
  console.log(`limit of open files per process: ${limit}; the gateway needs two per tunnel`)
  if (count < wanted)
    console.log(`the limit allows only ${count} tunnels; raise it with \`ulimit -n ${2 * wanted + SPARE}\``)

  const [backendProcess, address] = await start<string>('backend')
  const [gatewayProcess, port] = await start<number>('gateway', address)
  const measure = async (): Promise<Measure> => {
    gatewayProcess.send('measure')
    const [message] = (await once(gatewayProcess, 'message')) as [Measure]
    return message
  }
  const settled = (tunnels: number): Promise<Measure> =>
    eventually(async () => {
      const now = await measure()
      if (now.tunnels !== tunnels) throw new Error(`${now.tunnels} tunnels are open instead of ${tunnels}`)
      return now
    }, 20_000)

  try {
    await cycle(port, WARM_UP)
    const before = await settled(0)

    let since = performance.now()
    const lap = (): string => {
      const took = ((performance.now() - since) / 1_000).toFixed(1)
      since = performance.now()
      return `${took} s`
    }
    const clients: RawClient[] = []
    let lost = 0
    await concurrently(count, async i => {
      const { client } = await openTunnel(port, `/${i}`)
      client.socket.once('close', () => lost++)
      clients.push(client)
    })
    console.log(`opened ${clients.length} tunnels in ${lap()}`)
    await sleep(Number(values.hold) * 1_000)
    const during = await settled(count)
    const perTunnel = (key: 'rss' | 'heapUsed'): string => ((during[key] - before[key]) / count / 1_024).toFixed(1)
    console.log(`held them idle for ${lap()}: ${lost} lost`)
    console.log(
      `gateway: ${megabytes(during.rss)} RSS, ${megabytes(before.rss)} before; per tunnel ${perTunnel('rss')} KiB RSS, ${perTunnel('heapUsed')} KiB heap`,
    )
    let echoed = 0
    await concurrently(count, async i => {
      const client = clients[i] as RawClient
      const text = `tunnel ${i}`
      client.send(text)
      if ((await client.readExact(text.length)).toString() === text) echoed++
    })
    console.log(`echoed on ${echoed} of ${count} in ${lap()}`)
    const kept = lost
    await concurrently(count, async i => {
      const client = clients[i] as RawClient
      client.end()
      await client.closed
    })
    const after = await settled(0)
    console.log(
      `closed them in ${lap()}; descriptors of the gateway: ${before.descriptors} before, ${during.descriptors} during, ${after.descriptors} after`,
    )

    const cycles = Number(values.cycles)
    const failed = await cycle(port, cycles)
    const rate = Math.round(cycles / ((performance.now() - since) / 1_000))
    console.log(`opened and closed ${cycles} more in ${lap()}, ${rate} a second: ${failed} failed`)
    const end = await settled(0)
    console.log(
      `gateway: ${megabytes(end.rss)} RSS, ${megabytes(end.heapUsed)} heap (${megabytes(before.heapUsed)} before); descriptors: ${end.descriptors}`,
    )
    console.log(`ends: ${JSON.stringify(end.ends)}`)
    const ended = Object.values(end.ends).reduce((sum, n) => sum + n, 0)
    const checks = {
      'every idle tunnel stayed open': kept === 0,
      'every echo arrived': echoed === count,
      'every further tunnel worked': failed === 0,
      'idle tunnels freed their descriptors': after.descriptors <= before.descriptors,
      'further tunnels freed their descriptors': end.descriptors <= before.descriptors,
      'every tunnel has an end': ended === WARM_UP + count + cycles,
    }
    for (const [claim, holds] of Object.entries(checks)) {
      if (holds) continue
      console.error(`not true: ${claim}`)
      process.exitCode = 1
    }
  } finally {
    for (const child of [gatewayProcess, backendProcess]) child.kill('SIGKILL')
  }
}

function openFilesLimit(): number {
  const { userLimits } = process.report.getReport() as { userLimits?: Record<string, { soft: number | string }> }
  const soft = Number(userLimits?.['open_files']?.soft)
  return Number.isNaN(soft) ? Number.POSITIVE_INFINITY : soft
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

/** Calls `work` for 0 to `count` - 1, with {@link CONCURRENCY} calls at a time. */
async function concurrently(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

/** Opens and closes that many tunnels, by FIN, by RST or by closing the socket. Returns how many failed. */
async function cycle(port: number, count: number): Promise<number> {
  let failed = 0
  await concurrently(count, async i => {
    try {
      const { client } = await openTunnel(port, `/cycle/${i}`)
      client.send('ping')
      if ((await client.readExact(4)).toString() !== 'ping') failed++
      if (i % 3 === 0) client.end()
      else if (i % 3 === 1) client.reset()
      else client.destroy()
      await client.closed
    } catch (error) {
      if (failed++ < 5) console.error(String(error))
    }
  })
  return failed
}

const [role, ...rest] = process.argv.slice(2)
if (role === 'backend') await backend()
else if (role === 'gateway') await gateway(rest[0] as string)
else await soak()
