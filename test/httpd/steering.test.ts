import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../support/gate.ts'
import { peer } from '../support/peers.ts'
import { hasApache } from './apache.ts'
import { type Edit, type Side, startOurs, startTheirs } from './balancer-manager.ts'

const NAMES = ['A', 'B', 'C'] as const

const BALANCER = 'b'

type Name = (typeof NAMES)[number]

/** Requests, optionally with a session; a change by the managers; a backend that stops or starts; a wait, ms. */
type Step =
  | readonly ['request', times: number, session?: string]
  | readonly ['set', Name, Edit | string]
  | readonly ['kill' | 'revive', Name]
  | readonly ['wait', ms: number]

interface Walk {
  readonly name: string
  /** The parameters of A, B and C after `route=` and `retry=`. */
  readonly members: readonly string[]
  readonly set?: string
  readonly steps: readonly Step[]
}

/** How long a member is not used after an error, s. */
const OUT = 3

const RETRY: Step = ['wait', OUT * 1_000 + 100]

const toggled = (letter: string): Walk => ({
  name: `${letter} set and removed`,
  members: ['', '', ''],
  steps: [
    ['request', 4],
    ['set', 'A', `+${letter}`],
    ['request', 4],
    ['request', 2, 'x.ra'],
    ['set', 'B', `+${letter}`],
    ['request', 3],
    ['set', 'C', `+${letter}`],
    ['request', 2],
    ['request', 1, 'x.rb'],
    ['set', 'A', `-${letter}`],
    ['request', 2],
    ['set', 'B', `-${letter}`],
    ['set', 'C', `-${letter}`],
    ['request', 6],
  ],
})

const walks: readonly Walk[] = [
  ...[...'INDSHRC'].map(toggled),
  {
    name: 'killed, revived, and used again after retry',
    members: ['', '', ''],
    steps: [
      ['request', 3],
      ['kill', 'A'],
      ['request', 4],
      ['revive', 'A'],
      ['request', 3],
      ['request', 1, 'x.ra'],
      RETRY,
      ['request', 4],
      ['request', 1, 'x.ra'],
    ],
  },
  {
    name: 'killed, and still unreachable after retry',
    members: ['', ''],
    steps: [['kill', 'B'], ['request', 3], RETRY, ['request', 3], ['revive', 'B'], RETRY, ['request', 4]],
  },
  {
    name: 'stopped while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'A'],
      ['request', 3],
      ['set', 'A', '+S'],
      ['revive', 'A'],
      RETRY,
      ['request', 3],
      ['set', 'A', '-S'],
      ['request', 4],
    ],
  },
  {
    name: 'disabled while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'B'],
      ['request', 3],
      ['set', 'B', '+D'],
      ['revive', 'B'],
      RETRY,
      ['request', 3],
      ['set', 'B', '-D'],
      ['request', 4],
    ],
  },
  {
    name: 'the first member drains while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'A'],
      ['request', 3],
      ['set', 'A', '+N'],
      ['revive', 'A'],
      RETRY,
      ['request', 3],
      ['request', 2, 'x.ra'],
    ],
  },
  {
    name: 'the second member drains while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'B'],
      ['request', 3],
      ['set', 'B', '+N'],
      ['revive', 'B'],
      RETRY,
      ['request', 3],
      ['request', 2, 'x.rb'],
    ],
  },
  {
    name: 'killed, while its errors are ignored',
    members: ['status=I', ''],
    steps: [
      ['kill', 'A'],
      ['request', 4],
      ['set', 'A', '-I'],
      ['request', 3],
      ['set', 'A', '+I'],
      ['request', 3],
      ['revive', 'A'],
      ['request', 2],
    ],
  },
  {
    name: 'all killed',
    members: ['', '', ''],
    steps: [
      ['kill', 'A'],
      ['kill', 'B'],
      ['kill', 'C'],
      ['request', 2],
      ['revive', 'B'],
      ['request', 3],
      RETRY,
      ['request', 3],
    ],
  },
  {
    name: 'all killed, without forced recovery',
    members: ['', ''],
    set: 'forcerecovery=Off',
    steps: [['kill', 'A'], ['kill', 'B'], ['request', 3], ['revive', 'A'], ['request', 2], RETRY, ['request', 3]],
  },
  {
    name: 'a standby serves while the others are killed',
    members: ['', '', 'status=H'],
    steps: [
      ['kill', 'A'],
      ['request', 3],
      ['kill', 'B'],
      ['request', 3],
      ['request', 1, 'x.ra'],
      ['revive', 'A'],
      RETRY,
      ['request', 3],
      ['request', 1, 'x.rc'],
    ],
  },
  {
    name: 'a spare replaces a member that is killed',
    members: ['', '', 'status=R'],
    steps: [['request', 2], ['kill', 'A'], ['request', 5], ['revive', 'A'], RETRY, ['request', 4]],
  },
  {
    name: 'sets change',
    members: ['', '', ''],
    steps: [
      ['set', 'A', { set: 1 }],
      ['request', 3],
      ['set', 'B', { set: 2 }],
      ['set', 'C', { set: 2 }],
      ['request', 3],
      ['kill', 'A'],
      ['request', 4],
      ['set', 'C', { set: 0 }],
      ['request', 2],
    ],
  },
  {
    name: 'routes and redirects change',
    members: ['', '', ''],
    steps: [
      ['set', 'A', { route: 'new' }],
      ['request', 1, 'x.ra'],
      ['request', 2, 'x.new'],
      ['set', 'A', { redirect: 'rc', status: '+D' }],
      ['request', 2, 'x.new'],
      ['set', 'A', { redirect: '' }],
      ['request', 1, 'x.new'],
      ['set', 'A', { route: '', status: '-D' }],
      ['request', 1, 'x.new'],
      ['request', 3],
    ],
  },
  {
    name: 'sessions with nofailover',
    members: ['', '', 'status=H'],
    set: 'nofailover=On',
    steps: [
      ['request', 1, 'x.rb'],
      ['kill', 'B'],
      ['request', 2, 'x.rb'],
      ['request', 1, 'x.rc'],
      ['revive', 'B'],
      ['request', 1, 'x.rb'],
      ['set', 'A', '+S'],
      ['request', 1, 'x.ra'],
      RETRY,
      ['request', 2, 'x.rb'],
      ['set', 'B', '+N'],
      ['request', 1, 'x.rb'],
      ['request', 2],
    ],
  },
]

/** A backend that responds with its name. It can be stopped and started again at the same port. */
class RestartableBackend {
  readonly #name: Name
  #server: Server | undefined
  port = 0

  constructor(name: Name) {
    this.#name = name
  }

  async revive(): Promise<void> {
    this.#server = createServer((_, res) => res.setHeader('connection', 'close').end(this.#name))
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    server.close().closeAllConnections()
    await once(server, 'close')
  }
}

type Backends = Readonly<Record<Name, RestartableBackend>>

async function backendsOf(t: TestContext): Promise<Backends> {
  const backends = NAMES.map(name => [name, new RestartableBackend(name)] as const)
  for (const [, backend] of backends) {
    await backend.revive()
    t.after(() => backend.kill())
  }
  return Object.fromEntries(backends) as Backends
}

function confOf({ members, set = '' }: Walk, backends: Backends): string {
  const lines = members.map((more, i) => {
    const letter = NAMES[i] as Name
    return `BalancerMember http://127.0.0.1:${backends[letter].port} route=r${letter.toLowerCase()} retry=${OUT} ${more}`
  })
  const balancer = `<Proxy balancer://${BALANCER}>\n${lines.join('\n')}\nProxySet stickysession=SID ${set}\n</Proxy>`
  return `${balancer}\nProxyPass / balancer://${BALANCER}/`
}

async function take(side: Side, backends: Backends, step: Step): Promise<string> {
  const responders: string[] = []
  if (step[0] === 'request') {
    const [, times, session] = step
    const headers = { connection: 'close', ...(session && { cookie: `SID=${session}` }) }
    for (let i = 0; i < times; i++) {
      const { status, body } = await side.send('/', headers)
      responders.push(status === 200 ? body : String(status))
    }
  } else if (step[0] === 'set') {
    const [, letter, edit] = step
    const url = `http://127.0.0.1:${backends[letter].port}`
    await side.edit(BALANCER, url, typeof edit === 'string' ? { status: edit } : edit)
  }
  // A client gets its response before the member's busy count goes down.
  const members = await eventually(async () => {
    const shown = (await side.shown()).get(BALANCER) ?? []
    assert.ok(shown.every(({ busy }) => busy === 0))
    return shown
  })
  const lines = members.map(({ url, ...shown }, i) => `${NAMES[i]} ${JSON.stringify(shown)}`)
  return [responders.join(' '), ...lines].join('\n')
}

test(
  'shows and selects members as a running httpd does while operators change them and backends stop',
  peer('apache2', hasApache),
  async t => {
    const backends = await Promise.all(walks.map(() => backendsOf(t)))
    const confs = walks.map((walk, i) => confOf(walk, backends[i] as Backends))
    const theirs = await startTheirs(t, confs)
    const ours = await Promise.all(confs.map(conf => startOurs(t, conf)))
    let compared = 0
    const different: string[] = []
    const go = async ({ name, steps }: Walk, at: number): Promise<void> => {
      let since = Number.POSITIVE_INFINITY
      for (const [i, step] of steps.entries()) {
        const all = backends[at] as Backends
        if (step[0] === 'kill' || step[0] === 'revive') await all[step[1]][step[0]]()
        if (step[0] === 'wait') await delay(step[1])
        if (step[0] === 'kill' || step[0] === 'wait') since = performance.now()
        const [httpd, own] = await Promise.all([theirs, ours].map(sides => take(sides[at] as Side, all, step)))
        if (performance.now() - since > OUT * 1_000) {
          t.diagnostic(`${name}: not compared to the end, because the machine is too slow`)
          return
        }
        compared++
        if (httpd === own) continue
        different.push(`${name}, step ${i} ${JSON.stringify(step)}\nhttpd ${httpd}\nours  ${own}`)
        return
      }
    }
    await Promise.all(walks.map(go))
    assert.equal(different.join('\n\n'), '')
    t.diagnostic(`steps compared: ${compared}`)
  },
)
