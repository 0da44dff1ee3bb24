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

/** Sends requests, and returns the names of the members that respond. */
async function respondersOf(side: Side, path: string, times: number, agent: Agent): Promise<string> {
  const responders: string[] = []
  for (let i = 0; i < times; i++) {
    const { status, body } = await side.send(path, {}, agent)
    responders.push(status === 200 ? body : String(status))
  }
  return responders.join(' ')
}

/** All combinations of the letters. */
const combinations = (letters: string): string[] =>
  Array.from({ length: 2 ** letters.length }, (_, bits) => [...letters].filter((_, i) => bits & (1 << i)).join(''))

/** The members beside the one whose letters are tested. */
const BALANCERS = [
  { name: 'alone', letters: 'INDSEHR', others: [] },
  { name: 'beside a regular member and a spare', letters: 'INDSEHRC', others: ['', 'R'] },
  { name: 'beside a disabled member and a standby', letters: 'INDSEHR', others: ['D', 'H'] },
]

test('shows and obeys every combination of status letters as httpd does', peer('apache2', hasApache), async t => {
  const ports = await membersOf(t)
  const cases = BALANCERS.flatMap(({ name, letters: every, others }) =>
    combinations(every).map(letters => ({ name: `${letters || 'no letter'}, ${name}`, all: [letters, ...others] })),
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
    for (const [i, { name }] of cases.entries()) {
      const [expected, actual] = [linesOf(httpd.get(`b${i}`)), linesOf(own.get(`b${i}`))]
      if (expected !== actual) different.push(`${name}, ${when}\n  httpd ${expected}\n  ours  ${actual}`)
    }
  }
  await compare('before')
  const [toTheirs, toOurs] = [new Agent({ keepAlive: true }), new Agent({ keepAlive: true })]
  t.after(() => {
    toTheirs.destroy()
    toOurs.destroy()
  })
  const queue = cases.entries()
  const sendAll = async (): Promise<void> => {
    for (const [i, { name }] of queue) {
      const both = [respondersOf(theirs, `/b${i}/`, 4, toTheirs), respondersOf(ours, `/b${i}/`, 4, toOurs)]
      const [expected, actual] = await Promise.all(both)
      if (expected !== actual) different.push(`${name}\n  httpd ${expected}\n  ours  ${actual}`)
    }
  }
  await Promise.all(Array.from({ length: 4 }, sendAll))
  await compare('after')
  assert.equal(different.slice(0, 20).join('\n'), '', `${different.length} of ${cases.length * 3}`)
  t.diagnostic(`compared: ${cases.length * 3}`)
})

const linesOf = (members: readonly Shown[] | undefined): string =>
  String(members?.map(({ status, elected, load }) => `${status} elected=${elected} load=${load}`))
