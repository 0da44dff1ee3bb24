import assert from 'node:assert/strict'
import { test } from 'node:test'
import { echo } from '../support/backend.ts'
import type { RawClient } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { hasApache } from './apache.ts'
import { type Side, startOurs, startTheirs } from './balancer-manager.ts'

/** Open tunnels and keep them open, or close all tunnels of a member. */
type Step = readonly ['open', count: number] | readonly ['close', member: 'A' | 'B' | 'C']

const cases: readonly {
  readonly name: string
  readonly members: readonly string[]
  readonly set: string
  readonly steps: readonly Step[]
}[] = [
  {
    name: 'two members by busyness',
    members: ['', ''],
    set: 'lbmethod=bybusyness',
    steps: [
      ['open', 6],
      ['close', 'A'],
      ['open', 4],
    ],
  },
  {
    name: 'three members by busyness, with factors and a standby',
    members: ['loadfactor=2', '', 'status=H'],
    set: 'lbmethod=bybusyness',
    steps: [
      ['open', 5],
      ['close', 'B'],
      ['open', 4],
      ['close', 'A'],
      ['open', 3],
    ],
  },
  {
    name: 'three members by requests',
    members: ['', '', 'loadfactor=2'],
    set: 'lbmethod=byrequests',
    steps: [
      ['open', 6],
      ['close', 'A'],
      ['open', 4],
    ],
  },
]

/** Takes one step. Returns the members that responded, and what the manager shows once the busy counts are up to date. */
async function take(side: Side, held: Map<string, RawClient[]>, step: Step): Promise<string> {
  const responders: string[] = []
  if (step[0] === 'open') {
    for (let i = 0; i < step[1]; i++) {
      const client = await side.openTunnel('/')
      const name = (await client.readExact(1)).toString()
      held.set(name, [...(held.get(name) ?? []), client])
      responders.push(name)
    }
  } else {
    for (const client of held.get(step[1]) ?? []) client.destroy()
    held.delete(step[1])
  }
  const members = await eventually(async () => {
    const shown = (await side.shown()).get('b') ?? []
    assert.deepEqual(
      shown.map(({ busy }) => busy),
      shown.map((_, i) => held.get('ABC'.charAt(i))?.length ?? 0),
    )
    return shown
  })
  const lines = members.map(
    ({ status, elected, busy, load }) => `${status} elected=${elected} busy=${busy} load=${load}`,
  )
  return [responders.join(' '), ...lines].join('\n')
}

test(
  'counts open tunnels as busy and selects members by that count, as a running httpd does',
  peer('apache2', hasApache),
  async t => {
    const backends = await Promise.all([...'ABC'].map(early => startBackend(t, echo({ early }))))
    const confs = cases.map(({ members, set }) => {
      const lines = members.map((more, i) => `BalancerMember ws://${backends[i]?.address} ${more}`)
      return `<Proxy balancer://b>\n${lines.join('\n')}\nProxySet ${set}\n</Proxy>\nProxyPass / balancer://b/`
    })
    const theirs = await startTheirs(t, confs)
    const ours = await Promise.all(confs.map(conf => startOurs(t, conf)))
    let compared = 0
    for (const [at, { name, steps }] of cases.entries()) {
      const held = [new Map<string, RawClient[]>(), new Map<string, RawClient[]>()] as const
      const closeAll = (): void => {
        for (const client of held.flatMap(clients => [...clients.values()].flat())) client.destroy()
      }
      t.after(closeAll)
      for (const step of steps) {
        const httpd = await take(theirs[at] as Side, held[0], step)
        assert.equal(await take(ours[at] as Side, held[1], step), httpd, `${name}: ${step.join(' ')}`)
        if (step[0] === 'open') compared += step[1]
      }
      // Each open tunnel occupies a thread of httpd.
      closeAll()
    }
    t.diagnostic(`tunnels compared: ${compared}`)
  },
)
