import assert from 'node:assert/strict'
import { Agent, createServer } from 'node:http'
import { type TestContext, test } from 'node:test'
import { peer } from '../support/peers.ts'
import { closeAfter, listen } from '../support/server.ts'
import { hasApache } from './apache.ts'
import { type Shown, type Side, startOurs, startTheirs } from './balancer-manager.ts'

const NAMES = ['a', 'b', 'c'] as const

async function membersOf(t: TestContext): Promise<number[]> {
  return await Promise.all(
    NAMES.map(name => {
      const server = createServer((_, res) => res.end(name))
      closeAfter(t, server)
      return listen(server)
    }),
  )
}

/** Who answers. */
async function asked(side: Side, path: string, times: number, agent: Agent): Promise<string> {
  const answers: string[] = []
  for (let i = 0; i < times; i++) {
    const { status, body } = await side.ask(path, {}, agent)
    answers.push(status === 200 ? body : String(status))
  }
  return answers.join(' ')
}

/** Every combination of the letters. */
const combinations = (letters: string): string[] =>
  Array.from({ length: 2 ** letters.length }, (_, bits) => [...letters].filter((_, i) => bits & (1 << i)).join(''))

/** What stands beside the member whose letters are looked at. */
const COMPANIES = [
  { what: 'alone', letters: 'INDSEHR', others: [] },
  { what: 'beside a regular one and a spare', letters: 'INDSEHRC', others: ['', 'R'] },
  { what: 'beside a disabled one and a standby', letters: 'INDSEHR', others: ['D', 'H'] },
]

test(
  'shows and obeys the letters of a status as httpd does, in every combination',
  peer('apache2', hasApache),
  async t => {
    const ports = await membersOf(t)
    const cases = COMPANIES.flatMap(({ what, letters: every, others }) =>
      combinations(every).map(letters => ({ what: `${letters || 'nothing'}, ${what}`, all: [letters, ...others] })),
    )
    const member = (letters: string, i: number): string =>
      `BalancerMember http://127.0.0.1:${ports[i]}${letters === '' ? '' : ` status=${letters}`}`
    const conf = cases
      .map(
        ({ all }, i) =>
          `<Proxy balancer://b${i}>\n${all.map(member).join('\n')}\n</Proxy>\nProxyPass /b${i}/ balancer://b${i}/`,
      )
      .join('\n')
    const [theirs] = (await startTheirs(t, [conf])) as [Side]
    const ours = await startOurs(t, conf)
    const different: string[] = []
    const compare = async (when: string): Promise<void> => {
      const [httpd, own] = [await theirs.shown(), await ours.shown()]
      for (const [i, { what }] of cases.entries()) {
        const [expected, actual] = [linesOf(httpd.get(`b${i}`)), linesOf(own.get(`b${i}`))]
        if (expected !== actual) different.push(`${what}, ${when}\n  httpd ${expected}\n  ours  ${actual}`)
      }
    }
    await compare('before')
    const [toTheirs, toOurs] = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true })]
    t.after(() => {
      toTheirs.destroy()
      toOurs.destroy()
    })
    const queue = cases.entries()
    const askInTurn = async (): Promise<void> => {
      for (const [i, { what }] of queue) {
        const both = [asked(theirs, `/b${i}/`, 4, toTheirs), asked(ours, `/b${i}/`, 4, toOurs)]
        const [expected, actual] = await Promise.all(both)
        if (expected !== actual) different.push(`${what}\n  httpd ${expected}\n  ours  ${actual}`)
      }
    }
    await Promise.all(Array.from({ length: 4 }, askInTurn))
    await compare('after')
    assert.equal(different.slice(0, 20).join('\n'), '', `${different.length} of ${cases.length * 3}`)
    t.diagnostic(`compared: ${cases.length * 3}`)
  },
)

const linesOf = (members: readonly Shown[] | undefined): string =>
  String(members?.map(({ status, elected, load }) => `${status} elected=${elected} load=${load}`))
