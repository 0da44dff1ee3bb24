import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { eventually } from '../test/support/gate.ts'
import { now } from '../test/support/kill/clock.ts'
import { Cluster } from '../test/support/kill/cluster.ts'
import { Crowd } from '../test/support/kill/crowd.ts'
import { printTable } from '../test/support/kill/table.ts'

// Replaces all backends one after another, as a rollout does: the member drains, its process ends when its last tunnel
// has ended, a new process listens at its port, and the member is enabled again. Meanwhile clients end their tunnels
// and open others. Fails if a connect fails, if a tunnel is cut, or if a byte is wrong.

const { values } = parseArgs({
  options: {
    tunnels: { type: 'string', default: '300' },
    lifetime: { type: 'string', default: '4000' },
    rate: { type: 'string', default: '50' },
  },
})
const [tunnels, lifetime, rate] = [values.tunnels, values.lifetime, values.rate].map(Number) as [number, number, number]

const cluster = new Cluster(3)
const rows: Record<string, string | number>[] = []
try {
  await cluster.start({}, () => ({ retry: 1_000, connectTimeout: 5_000, handshakeTimeout: 5_000 }))
  const crowd = new Crowd(cluster.port)
  crowd.stay(tunnels, lifetime)
  await eventually(() => crowd.openAt() === tunnels, 20_000)
  crowd.passBy(1_000 / rate)
  await sleep(lifetime)

  for (const backend of cluster.backends) {
    const before = { open: crowd.openAt(backend.name), attempts: crowd.attempts.length, finished: crowd.finished }
    const begin = now()
    await cluster.change(backend, '+N')
    await eventually(async () => (await cluster.member(backend)).busy === 0, 3 * lifetime)
    const emptyAfter = now() - begin
    await backend.stop('SIGTERM')
    await backend.start()
    await cluster.change(backend, '-N')
    const downAt = begin + emptyAfter
    const replacedAfter = now() - downAt
    await eventually(() => crowd.openAt(backend.name) > 0)
    const attempts = crowd.attempts.slice(before.attempts)
    rows.push({
      backend: backend.name,
      'open tunnels': `${tunnels}, ${before.open} of them its own`,
      'empty after': `${Math.round(emptyAfter)} ms`,
      'replaced after': `${Math.round(replacedAfter)} ms`,
      connects: attempts.length,
      'failed connects': attempts.filter(({ failure }) => failure !== undefined).length,
      'tunnels ended by their clients': crowd.finished - before.finished,
      'tunnels cut': crowd.cuts.length,
    })
  }
  await sleep(lifetime)
  await crowd.stop()

  const failed = crowd.attempts.filter(({ failure }) => failure !== undefined)
  printTable(rows)
  console.log(`total: ${crowd.attempts.length} connects, ${failed.length} failed;`)
  console.log(`${crowd.finished} tunnels ended by their clients, ${crowd.cuts.length} cut;`)
  console.log(`${crowd.lines} lines echoed correctly, ${crowd.wrong.length} wrongly`)
  if (failed.length + crowd.cuts.length + crowd.wrong.length > 0) {
    console.error('the first failure:', failed[0] ?? crowd.cuts[0] ?? crowd.wrong[0])
    process.exitCode = 1
  }
} finally {
  await cluster.stop()
}
