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

/** Ask so often, with a cookie; a change by the managers; a backend that goes and comes; time that passes, ms. */
type Step =
  | readonly ['ask', times: number, session?: string]
  | readonly ['set', Name, Edit | string]
  | readonly ['kill' | 'revive', Name]
  | readonly ['wait', ms: number]

interface Walk {
  readonly what: string
  /** What the lines of A, B and C say behind `route=`. */
  readonly members: readonly string[]
  readonly set?: string
  readonly steps: readonly Step[]
}

/** Seconds that a member is out after an error. */
const OUT = 3

const RETRY: Step = ['wait', OUT * 1_000 + 100]

const toggled = (letter: string): Walk => ({
  what: `${letter} set and taken back`,
  members: ['', '', ''],
  steps: [
    ['ask', 4],
    ['set', 'A', `+${letter}`],
    ['ask', 4],
    ['ask', 2, 'x.ra'],
    ['set', 'B', `+${letter}`],
    ['ask', 3],
    ['set', 'C', `+${letter}`],
    ['ask', 2],
    ['ask', 1, 'x.rb'],
    ['set', 'A', `-${letter}`],
    ['ask', 2],
    ['set', 'B', `-${letter}`],
    ['set', 'C', `-${letter}`],
    ['ask', 6],
  ],
})

const walks: readonly Walk[] = [
  ...[...'INDSHRC'].map(toggled),
  {
    what: 'killed, revived, and back when its time is over',
    members: ['', '', ''],
    steps: [
      ['ask', 3],
      ['kill', 'A'],
      ['ask', 4],
      ['revive', 'A'],
      ['ask', 3],
      ['ask', 1, 'x.ra'],
      RETRY,
      ['ask', 4],
      ['ask', 1, 'x.ra'],
    ],
  },
  {
    what: 'killed, and again when its time is over',
    members: ['', ''],
    steps: [['kill', 'B'], ['ask', 3], RETRY, ['ask', 3], ['revive', 'B'], RETRY, ['ask', 4]],
  },
  {
    what: 'stopped while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'A'],
      ['ask', 3],
      ['set', 'A', '+S'],
      ['revive', 'A'],
      RETRY,
      ['ask', 3],
      ['set', 'A', '-S'],
      ['ask', 4],
    ],
  },
  {
    what: 'disabled while in error',
    members: ['', '', ''],
    steps: [
      ['kill', 'B'],
      ['ask', 3],
      ['set', 'B', '+D'],
      ['revive', 'B'],
      RETRY,
      ['ask', 3],
      ['set', 'B', '-D'],
      ['ask', 4],
    ],
  },
  {
    what: 'the first drains while in error',
    members: ['', '', ''],
    steps: [['kill', 'A'], ['ask', 3], ['set', 'A', '+N'], ['revive', 'A'], RETRY, ['ask', 3], ['ask', 2, 'x.ra']],
  },
  {
    what: 'another drains while in error',
    members: ['', '', ''],
    steps: [['kill', 'B'], ['ask', 3], ['set', 'B', '+N'], ['revive', 'B'], RETRY, ['ask', 3], ['ask', 2, 'x.rb']],
  },
  {
    what: 'killed, while its errors are ignored',
    members: ['status=I', ''],
    steps: [
      ['kill', 'A'],
      ['ask', 4],
      ['set', 'A', '-I'],
      ['ask', 3],
      ['set', 'A', '+I'],
      ['ask', 3],
      ['revive', 'A'],
      ['ask', 2],
    ],
  },
  {
    what: 'all killed',
    members: ['', '', ''],
    steps: [['kill', 'A'], ['kill', 'B'], ['kill', 'C'], ['ask', 2], ['revive', 'B'], ['ask', 3], RETRY, ['ask', 3]],
  },
  {
    what: 'all killed, nobody tried again before its time',
    members: ['', ''],
    set: 'forcerecovery=Off',
    steps: [['kill', 'A'], ['kill', 'B'], ['ask', 3], ['revive', 'A'], ['ask', 2], RETRY, ['ask', 3]],
  },
  {
    what: 'a standby serves while the others are killed',
    members: ['', '', 'status=H'],
    steps: [
      ['kill', 'A'],
      ['ask', 3],
      ['kill', 'B'],
      ['ask', 3],
      ['ask', 1, 'x.ra'],
      ['revive', 'A'],
      RETRY,
      ['ask', 3],
      ['ask', 1, 'x.rc'],
    ],
  },
  {
    what: 'a spare serves for one that is killed, beside the other',
    members: ['', '', 'status=R'],
    steps: [['ask', 2], ['kill', 'A'], ['ask', 5], ['revive', 'A'], RETRY, ['ask', 4]],
  },
  {
    what: 'sets change',
    members: ['', '', ''],
    steps: [
      ['set', 'A', { set: 1 }],
      ['ask', 3],
      ['set', 'B', { set: 2 }],
      ['set', 'C', { set: 2 }],
      ['ask', 3],
      ['kill', 'A'],
      ['ask', 4],
      ['set', 'C', { set: 0 }],
      ['ask', 2],
    ],
  },
  {
    what: 'routes and redirects change',
    members: ['', '', ''],
    steps: [
      ['set', 'A', { route: 'new' }],
      ['ask', 1, 'x.ra'],
      ['ask', 2, 'x.new'],
      ['set', 'A', { redirect: 'rc', status: '+D' }],
      ['ask', 2, 'x.new'],
      ['set', 'A', { redirect: '' }],
      ['ask', 1, 'x.new'],
      ['set', 'A', { route: '', status: '-D' }],
      ['ask', 1, 'x.new'],
      ['ask', 3],
    ],
  },
  {
    what: 'sessions that must not move',
    members: ['', '', 'status=H'],
    set: 'nofailover=On',
    steps: [
      ['ask', 1, 'x.rb'],
      ['kill', 'B'],
      ['ask', 2, 'x.rb'],
      ['ask', 1, 'x.rc'],
      ['revive', 'B'],
      ['ask', 1, 'x.rb'],
      ['set', 'A', '+S'],
      ['ask', 1, 'x.ra'],
      RETRY,
      ['ask', 2, 'x.rb'],
      ['set', 'B', '+N'],
      ['ask', 1, 'x.rb'],
      ['ask', 2],
    ],
  },
]

/** A backend that answers with its name, and can go and come back. */
class Stand {
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

type Stands = Readonly<Record<Name, Stand>>

async function standsOf(t: TestContext): Promise<Stands> {
  const stands = NAMES.map(name => [name, new Stand(name)] as const)
  for (const [, stand] of stands) {
    await stand.revive()
    t.after(() => stand.kill())
  }
  return Object.fromEntries(stands) as Stands
}

function confOf({ members, set = '' }: Walk, stands: Stands): string {
  const lines = members.map((more, i) => {
    const letter = NAMES[i] as Name
    return `BalancerMember http://127.0.0.1:${stands[letter].port} route=r${letter.toLowerCase()} retry=${OUT} ${more}`
  })
  const balancer = `<Proxy balancer://${BALANCER}>\n${lines.join('\n')}\nProxySet stickysession=SID ${set}\n</Proxy>`
  return `${balancer}\nProxyPass / balancer://${BALANCER}/`
}

async function take(side: Side, stands: Stands, step: Step): Promise<string> {
  const answers: string[] = []
  if (step[0] === 'ask') {
    const [, times, session] = step
    const headers = { connection: 'close', ...(session && { cookie: `SID=${session}` }) }
    for (let i = 0; i < times; i++) {
      const { status, body } = await side.ask('/', headers)
      answers.push(status === 200 ? body : String(status))
    }
  } else if (step[0] === 'set') {
    const [, letter, edit] = step
    const url = `http://127.0.0.1:${stands[letter].port}`
    await side.edit(BALANCER, url, typeof edit === 'string' ? { status: edit } : edit)
  }
  // A client has its answer before its member has ceased to be busy.
  const members = await eventually(async () => {
    const shown = (await side.shown()).get(BALANCER) ?? []
    assert.ok(shown.every(({ busy }) => busy === 0))
    return shown
  })
  const lines = members.map(({ url, ...shown }, i) => `${NAMES[i]} ${JSON.stringify(shown)}`)
  return [answers.join(' '), ...lines].join('\n')
}

test(
  'shows members as a running httpd does while they are steered and killed, and asks the same ones',
  peer('apache2', hasApache),
  async t => {
    const stands = await Promise.all(walks.map(() => standsOf(t)))
    const confs = walks.map((walk, i) => confOf(walk, stands[i] as Stands))
    const theirs = await startTheirs(t, confs)
    const ours = await Promise.all(confs.map(conf => startOurs(t, conf)))
    let compared = 0
    const different: string[] = []
    const go = async ({ what, steps }: Walk, at: number): Promise<void> => {
      let since = Number.POSITIVE_INFINITY
      for (const [i, step] of steps.entries()) {
        const all = stands[at] as Stands
        if (step[0] === 'kill' || step[0] === 'revive') await all[step[1]][step[0]]()
        if (step[0] === 'wait') await delay(step[1])
        if (step[0] === 'kill' || step[0] === 'wait') since = performance.now()
        const [httpd, own] = await Promise.all([theirs, ours].map(sides => take(sides[at] as Side, all, step)))
        if (performance.now() - since > OUT * 1_000) {
          t.diagnostic(`${what}: too slow a machine to compare all of it`)
          return
        }
        compared++
        if (httpd === own) continue
        different.push(`${what}, step ${i} ${JSON.stringify(step)}\nhttpd ${httpd}\nours  ${own}`)
        return
      }
    }
    await Promise.all(walks.map(go))
    assert.equal(different.join('\n\n'), '')
    t.diagnostic(`steps compared: ${compared}`)
  },
)
