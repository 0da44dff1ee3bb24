import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Succession } from '../test/support/handover/processes.ts'
import { Streams } from '../test/support/handover/streams.ts'
import { printTable } from '../test/support/kill/table.ts'

// Replaces the gateway again and again while tunnels are open whose bytes are checked at both ends in both directions, and while new
// ones are opened all the time. Fails if a connect fails, a tunnel is cut, a byte is wrong, or a process keeps a descriptor.

const { values } = parseArgs({
  options: {
    handovers: { type: 'string', default: '100' },
    tunnels: { type: 'string', default: '200' },
    lifetime: { type: 'string', default: '4000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    js: { type: 'boolean', default: false },
  },
})
const [handovers, tunnels, lifetime, seed] = [values.handovers, values.tunnels, values.lifetime, values.seed].map(
  Number,
) as [number, number, number, number]

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

const cleanUps: (() => Promise<void>)[] = []
const streams = new Streams(seed)
const backend = await streams.listen()
const options = { target: `ws://127.0.0.1:${backend}/`, async: !values.js }
const after = (cleanUp: () => Promise<void>): void => void cleanUps.push(cleanUp)
const gateways = await Succession.create({ after } as never, { framework: 'node:http', options })
let failed = true
try {
  let current = await gateways.next()
  const atFirst = descriptorsOf(current.pid)
  const running = streams.keep(tunnels, await current.port(), lifetime)
  const times: number[] = []
  let moved = 0
  let stayed = 0
  for (let i = 0; i < handovers; i++) {
    const begin = performance.now()
    const next = await gateways.next()
    times.push(performance.now() - begin)
    const { report } = await current.report('handed over', 1, 60_000)
    moved += report.moved
    stayed += Object.values(report.stayed).reduce((sum, count) => sum + count, 0)
    const code = await current.exited
    if (code !== 0) throw new Error(`process ${i} has ended with ${code}: ${current.errors}`)
    current = next
  }
  streams.stop()
  await running
  // The thread of the addon has two: epoll and the descriptor that wakes it.
  const left = descriptorsOf(current.pid) - atFirst - 2
  const view = await current.view()
  await gateways.next()
  const { opened, finished, failedConnects, cut, corrupted, bytes, slowestConnect, faults } = streams.tally
  times.sort((a, b) => a - b)
  printTable([
    {
      seed,
      'hand-overs': handovers,
      'tunnels moved': moved,
      stayed,
      'ms (median, most)': `${Math.round(times[times.length >> 1] ?? 0)}, ${Math.round(times.at(-1) ?? 0)}`,
      connects: opened,
      'failed connects': failedConnects,
      'slowest connect, ms': Math.round(slowestConnect),
      finished,
      cut,
      corrupted,
      MB: Math.round(bytes / 1e6),
      'tunnels left': view.tunnels.length,
      'more descriptors': left,
    },
  ])
  for (const fault of faults.slice(0, 20)) console.error(fault)
  failed = failedConnects + cut + corrupted + view.tunnels.length + left > 0
} finally {
  streams.close()
  for (const cleanUp of cleanUps) await cleanUp()
}
process.exit(failed ? 1 : 0)
