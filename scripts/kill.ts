import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { BalancerOptions, MemberOptions } from '@ws-tunnel/core'
import { eventually } from '../test/support/gate.ts'
import { type BackendProcess, Cluster } from '../test/support/kill/cluster.ts'
import { type Attempt, Crowd } from '../test/support/kill/crowd.ts'
import { type Blow, type Figures, RESTART, SIGKILL, SIGSTOP, strike } from '../test/support/kill/strike.ts'
import { printTable } from '../test/support/kill/table.ts'

// Kills one of three backends, stalls another and restarts the third, while tunnels are open and clients connect
// steadily. It repeats this for several settings, with real processes. It prints the effect on clients. It fails if a
// connect fails after the gateway has marked the member, if a tunnel of another backend ends, or if a byte is wrong.

interface Setting {
  name: string
  balancer: Omit<BalancerOptions, 'members'>
  member: Omit<MemberOptions, 'url'>
}

const MEMBER = { retry: 1_000, connectTimeout: 500, handshakeTimeout: 1_000 }

const SETTINGS: Setting[] = [
  { name: 'failOnTimeout', balancer: { failOnTimeout: true }, member: MEMBER },
  {
    name: '+ failoverUnanswered',
    balancer: { failOnTimeout: true, failoverUnanswered: true },
    member: MEMBER,
  },
  {
    name: '+ healthCheck',
    balancer: {
      failOnTimeout: true,
      failoverUnanswered: true,
      healthCheck: { method: 'WEBSOCKET', interval: 500, timeout: 500 },
    },
    member: { ...MEMBER, retry: 60_000 },
  },
]

const { values } = parseArgs({
  options: {
    tunnels: { type: 'string', default: '500' },
    rate: { type: 'string', default: '50' },
    down: { type: 'string', default: '4000' },
  },
})
const [tunnels, rate, down] = [values.tunnels, values.rate, values.down].map(Number) as [number, number, number]

const BLOWS: [name: string, blow: Blow][] = [
  ['killed', { ...SIGKILL, down }],
  ['stalled', { ...SIGSTOP, down }],
  ['restarted', RESTART],
]

const ms = (time: number | undefined): string => (time === undefined ? 'never' : `${Math.round(time)} ms`)

/** `2 WST_ERR_NO_RESPONSE`, or `0`. */
function tally(failed: readonly Attempt[]): string {
  const codes = Map.groupBy(failed, ({ failure }) => failure?.code)
  return Array.from(codes, ([code, { length }]) => `${length} ${code}`).join(', ') || '0'
}

const rowOf = (
  setting: string,
  blow: string,
  { open, marked, failed, slowest, cut, recovered, connects }: Figures,
) => ({
  setting,
  'one of three is': blow,
  'its tunnels': `${open[1]} of ${open[0]}`,
  'marked after': ms(marked),
  connects,
  'failed before': tally(failed.unmarked),
  'failed after': tally(failed.marked),
  slowest: ms(slowest),
  'ended, its tunnels': cut.own,
  'ended, other tunnels': cut.others,
  'serves again after': ms(recovered),
})

async function run({ name, balancer, member }: Setting): Promise<void> {
  const cluster = new Cluster(3)
  try {
    await cluster.start(balancer, () => member)
    const crowd = new Crowd(cluster.port)
    crowd.stay(tunnels)
    await eventually(() => crowd.openAt() === tunnels, 20_000)
    crowd.passBy(1_000 / rate)
    await sleep(500)
    for (const [i, [blow, how]] of BLOWS.entries()) {
      const figures = await strike(cluster, crowd, cluster.backends[i] as BackendProcess, how)
      rows.push(rowOf(name, blow, figures))
      if (figures.failed.marked.length > 0) wrong.push(`${name}: a connect failed after its ${blow} member was marked`)
      if (figures.cut.others > 0) wrong.push(`${name}: a tunnel ended whose backend was not the ${blow} one`)
    }
    await crowd.stop()
    console.log(`${name}: ${crowd.attempts.length} connects, ${crowd.lines} lines echoed correctly`)
    if (crowd.wrong.length > 0)
      wrong.push(`${name}: ${crowd.wrong.length} lines echoed wrongly, such as ${crowd.wrong[0]}`)
  } finally {
    const code = await cluster.stop()
    if (code !== 0) wrong.push(`${name}: the gateway exited with ${code} after it was closed`)
  }
}

const rows: ReturnType<typeof rowOf>[] = []
const wrong: string[] = []
for (const setting of SETTINGS) await run(setting)
printTable(rows)
for (const line of wrong) console.error(line)
process.exitCode = wrong.length === 0 ? 0 : 1
