import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import type { Backend, BackendRequest } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { hasApache, startApache } from './apache.ts'

/** A member whose checks are answered one after the other; the one after the last answer waits. */
interface Case {
  readonly what: string
  /** Path and parameters of the member. */
  readonly member: string
  /** Lines before it. */
  readonly lines?: string
  /** What comes back, check by check: a status, or bytes; `''` is a connection that ends. */
  readonly answers: readonly (number | string)[]
}

const body = (text: string, more = ''): string =>
  `HTTP/1.1 200 Fine\r\n${more}Content-Length: ${text.length}\r\n\r\n${text}`
const signs = (text: string): number[] => Array.from(text, sign => (sign === '+' ? 200 : 500))

const cases: readonly Case[] = [
  { what: 'statuses', member: '/ hcmethod=GET', answers: [200, 302, 399, 400, 204, 404, 200, 503, 100] },
  { what: 'numbers', member: '/ hcmethod=GET hcpasses=2 hcfails=2', answers: signs('-+-++-+--++-') },
  { what: 'no numbers', member: '/ hcmethod=GET hcpasses=0 hcfails=0', answers: signs('-+-+') },
  { what: 'more numbers', member: '/ hcmethod=GET hcpasses=3 hcfails=1', answers: signs('-+-++-') },
  { what: 'HEAD', member: '/base hcmethod=HEAD hcuri=/up?x=1', answers: [200, 500, 200] },
  { what: 'OPTIONS', member: '/base hcmethod=OPTIONS hcuri=/up', answers: [200, 500, 200] },
  { what: 'GET11', member: '/base/ hcmethod=get11 hcuri=up', answers: [200, 500, 200] },
  { what: 'HEAD11', member: ' hcmethod=HEAD11 hcuri=/up', answers: [200, 500, 200] },
  { what: 'OPTIONS11', member: ' hcmethod=OPTIONS11', answers: [200, 500, 200] },
  {
    what: 'no answers',
    member: '/ hcmethod=GET',
    answers: ['', 200, 'SSH-2.0\r\n\r\n', 200, 'HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nhalf', 200],
  },
  {
    what: 'bodies of other kinds',
    member: '/ hcmethod=GET11 hcexpr=body',
    lines: "ProxyHCExpr body {hc('body') == 'well'}",
    answers: [
      'HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n',
      'HTTP/1.1 200 Fine\r\n\r\nill',
      'HTTP/1.1 200 Fine\r\n\r\nwell',
      204,
    ],
  },
  {
    what: 'a condition on the status',
    member: '/ hcmethod=GET hcexpr=ok234',
    lines: 'ProxyHCExpr OK234 {%{REQUEST_STATUS} =~ /^[234]/}',
    answers: [200, 404, 500, 403, 302],
  },
  {
    what: 'a condition on the body',
    member: '/ hcmethod=GET hcexpr=maint hcuri=/up',
    lines: "ProxyHCExpr maint {hc('body') !~ /Under maintenance/}",
    answers: [body('ready'), body('Under maintenance.'), body(''), 500],
  },
  {
    what: 'the body by another name',
    member: '/ hcmethod=GET hcexpr=both',
    lines: "ProxyHCExpr both {%{HC_BODY} == 'up' && hc('BODY') == 'up' && %{HC_OTHER} == ''}",
    answers: [body('up'), body('down'), body('up')],
  },
  {
    what: 'a condition on a body that is not read',
    member: '/ hcmethod=HEAD hcexpr=empty',
    lines: "ProxyHCExpr empty {-z hc('body')}",
    answers: [200, 500],
  },
  {
    what: 'a condition on fields',
    member: '/ hcmethod=GET hctemplate=T hcmethod=GET hcinterval=100ms',
    lines: `ProxyHCExpr load {resp('X-Load') -lt 5 && %{CONTENT_TYPE} =~ m#^text/# || %{resp:x-load} == 'none'}
ProxyHCTemplate T hcmethod=OPTIONS hcexpr=load`,
    answers: [
      body('', 'X-Load: 4\r\nContent-Type: text/plain\r\n'),
      body('', 'X-Load: 5\r\nContent-Type: text/plain\r\n'),
      body('', 'X-Load: 4\r\nContent-Type: image/png\r\n'),
      body('', 'X-Load: none\r\n'),
      200,
    ],
  },
]

const confOf = ({ member, lines = '' }: Case, i: number, address: string): string => `${lines}
<Proxy balancer://b${i}>
BalancerMember http://${address}${member}${/hcinterval/.test(member) ? '' : ' hcinterval=100ms'}
</Proxy>
ProxyPass /${i} balancer://b${i}/`

/** A backend whose checks are answered when they are let go. */
class Patient {
  readonly backend: Backend
  readonly #gates: PromiseWithResolvers<void>[]

  private constructor(backend: Backend, gates: PromiseWithResolvers<void>[]) {
    this.backend = backend
    this.#gates = gates
  }

  static async start(t: TestContext, answers: Case['answers']): Promise<Patient> {
    const gates = answers.map(() => Promise.withResolvers<void>())
    let next = 0
    const backend = await startBackend(t, async connection => {
      await connection.request()
      const n = next++
      await gates[n]?.promise
      const answer = answers[n]
      if (answer === undefined) return
      connection.end(typeof answer === 'string' ? answer : `HTTP/1.1 ${answer} x\r\nContent-Length: 0\r\n\r\n`)
    })
    return new Patient(backend, gates)
  }

  /** The state after each answer: while the next check waits for its own, nothing changes it. */
  async states(state: () => Promise<string> | string): Promise<string[]> {
    const states: string[] = []
    for (const [n, gate] of this.#gates.entries()) {
      await this.backend.request(n)
      gate.resolve()
      await this.backend.request(n + 1)
      states.push((await state()) || '.')
    }
    return states
  }

  /** What a check asks for; the port is each one's own. */
  get asked(): string {
    const [request] = this.backend.seen as [BackendRequest]
    return `${request.startLine} ${request.header('host')?.replace(/\d+$/, 'port')}`
  }
}

const WORDS: Record<string, string> = { Err: 'E', HcFl: 'C' }

/** The letters of a member on the balancer-manager of httpd. */
async function statusOf(port: number, url: string): Promise<string> {
  const page = await (await fetch(`http://127.0.0.1:${port}/manager`)).text()
  const [, cells = ''] = page.split(`>${url}</a></td>`)
  const status = cells.split('<td>')[5]?.replace(/<.*/s, '') ?? ''
  assert.match(status, /^Init /, url)
  return status
    .split(' ')
    .map(word => WORDS[word] ?? '')
    .join('')
}

const MANAGER = '<Location /manager>\nSetHandler balancer-manager\n</Location>'

test('finds members well and ill as a running httpd does, check by check', peer('apache2', hasApache), async t => {
  const theirs = await Promise.all(cases.map(({ answers }) => Patient.start(t, answers)))
  const ours = await Promise.all(cases.map(({ answers }) => Patient.start(t, answers)))
  const confs = (patients: Patient[]): string =>
    cases.map((one, i) => confOf(one, i, patients[i]?.backend.address ?? '')).join('\n')
  const apache = await startApache(new Map([['main.test', `${confs(theirs)}\n${MANAGER}`]]))
  t.after(() => apache.close())
  const proxy = createTunnelProxy(fromHttpdConf({ text: confs(ours) }))
  t.after(() => proxy.close())
  await Promise.all(
    cases.map(async ({ what, member }, i) => {
      const [their, our] = [theirs[i], ours[i]] as [Patient, Patient]
      const url = `http://${their.backend.address}${/^\S*/.exec(member)?.[0]}`
      const [expected, got] = await Promise.all([
        their.states(() => statusOf(apache.port, url)),
        our.states(() => proxy.balancers.get(`b${i}`)?.members[0]?.status ?? 'none'),
      ])
      assert.equal(got.join(' '), expected.join(' '), what)
      assert.equal(our.asked, their.asked, what)
    }),
  )
  t.diagnostic(`checks compared: ${cases.reduce((sum, { answers }) => sum + answers.length, 0)}`)
})

test(
  'marks a backend that goes, and takes it back when it comes, as httpd does',
  peer('apache2', hasApache),
  async t => {
    let backend = createServer(socket => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
    await once(backend, 'listening')
    const { port } = backend.address() as AddressInfo
    t.after(() => backend.close())
    const url = `http://127.0.0.1:${port}/`
    const conf = `<Proxy balancer://c>\nBalancerMember ${url} hcmethod=TCP hcinterval=100ms\n</Proxy>\nProxyPass /x balancer://c/`
    const apache = await startApache(new Map([['main.test', `${conf}\n${MANAGER}`]]))
    t.after(() => apache.close())
    const proxy = createTunnelProxy(fromHttpdConf({ text: conf }))
    t.after(() => proxy.close())
    const both = async (letters: string): Promise<void> => {
      await eventually(async () => assert.equal(await statusOf(apache.port, url), letters), 5_000)
      await eventually(() => assert.equal(proxy.balancers.get('c')?.members[0]?.status, letters), 5_000)
    }
    await both('')
    for (let i = 0; i < 2; i++) {
      await new Promise(resolve => backend.close(resolve))
      await both('C')
      backend = createServer(socket => socket.on('error', () => {}).resume()).listen(port, '127.0.0.1')
      await once(backend, 'listening')
      await both('')
    }
  },
)
