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

/** A member, and the responses to its checks in order. The check after the last response gets none. */
interface Case {
  readonly name: string
  /** The member's path and parameters. */
  readonly member: string
  /** Lines before the balancer. */
  readonly lines?: string
  /** The response to each check: a status, or bytes. `''` closes the connection. */
  readonly responses: readonly (number | string)[]
}

const body = (text: string, more = ''): string =>
  `HTTP/1.1 200 Fine\r\n${more}Content-Length: ${text.length}\r\n\r\n${text}`
const signs = (text: string): number[] => Array.from(text, sign => (sign === '+' ? 200 : 500))

const cases: readonly Case[] = [
  { name: 'statuses', member: '/ hcmethod=GET', responses: [200, 302, 399, 400, 204, 404, 200, 503, 100] },
  {
    name: 'hcpasses and hcfails of 2',
    member: '/ hcmethod=GET hcpasses=2 hcfails=2',
    responses: signs('-+-++-+--++-'),
  },
  { name: 'hcpasses and hcfails of 0', member: '/ hcmethod=GET hcpasses=0 hcfails=0', responses: signs('-+-+') },
  { name: 'hcpasses of 3', member: '/ hcmethod=GET hcpasses=3 hcfails=1', responses: signs('-+-++-') },
  { name: 'HEAD', member: '/base hcmethod=HEAD hcuri=/up?x=1', responses: [200, 500, 200] },
  { name: 'OPTIONS', member: '/base hcmethod=OPTIONS hcuri=/up', responses: [200, 500, 200] },
  { name: 'GET11', member: '/base/ hcmethod=get11 hcuri=up', responses: [200, 500, 200] },
  { name: 'HEAD11', member: ' hcmethod=HEAD11 hcuri=/up', responses: [200, 500, 200] },
  { name: 'OPTIONS11', member: ' hcmethod=OPTIONS11', responses: [200, 500, 200] },
  {
    name: 'no valid response',
    member: '/ hcmethod=GET',
    responses: ['', 200, 'SSH-2.0\r\n\r\n', 200, 'HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nhalf', 200],
  },
  {
    name: 'a chunked body, and bodies that end with the connection',
    member: '/ hcmethod=GET11 hcexpr=body',
    lines: "ProxyHCExpr body {hc('body') == 'well'}",
    responses: [
      'HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n',
      'HTTP/1.1 200 Fine\r\n\r\nill',
      'HTTP/1.1 200 Fine\r\n\r\nwell',
      204,
    ],
  },
  {
    name: 'a condition on the status',
    member: '/ hcmethod=GET hcexpr=ok234',
    lines: 'ProxyHCExpr OK234 {%{REQUEST_STATUS} =~ /^[234]/}',
    responses: [200, 404, 500, 403, 302],
  },
  {
    name: 'a condition on the body',
    member: '/ hcmethod=GET hcexpr=maint hcuri=/up',
    lines: "ProxyHCExpr maint {hc('body') !~ /Under maintenance/}",
    responses: [body('ready'), body('Under maintenance.'), body(''), 500],
  },
  {
    name: 'the body by another name',
    member: '/ hcmethod=GET hcexpr=both',
    lines: "ProxyHCExpr both {%{HC_BODY} == 'up' && hc('BODY') == 'up' && %{HC_OTHER} == ''}",
    responses: [body('up'), body('down'), body('up')],
  },
  {
    name: 'a condition on a body that is not read',
    member: '/ hcmethod=HEAD hcexpr=empty',
    lines: "ProxyHCExpr empty {-z hc('body')}",
    responses: [200, 500],
  },
  {
    name: 'a condition on fields',
    member: '/ hcmethod=GET hctemplate=T hcmethod=GET hcinterval=100ms',
    lines: `ProxyHCExpr load {resp('X-Load') -lt 5 && %{CONTENT_TYPE} =~ m#^text/# || %{resp:x-load} == 'none'}
ProxyHCTemplate T hcmethod=OPTIONS hcexpr=load`,
    responses: [
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

/** A backend that responds to its checks one by one, when the test lets it. */
class CheckedBackend {
  readonly backend: Backend
  readonly #gates: PromiseWithResolvers<void>[]

  private constructor(backend: Backend, gates: PromiseWithResolvers<void>[]) {
    this.backend = backend
    this.#gates = gates
  }

  static async start(t: TestContext, responses: Case['responses']): Promise<CheckedBackend> {
    const gates = responses.map(() => Promise.withResolvers<void>())
    let next = 0
    const backend = await startBackend(t, async connection => {
      await connection.request()
      const n = next++
      await gates[n]?.promise
      const response = responses[n]
      if (response === undefined) return
      connection.end(typeof response === 'string' ? response : `HTTP/1.1 ${response} x\r\nContent-Length: 0\r\n\r\n`)
    })
    return new CheckedBackend(backend, gates)
  }

  /** The state after each response. It cannot change while the next check waits for its response. */
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

  /** The request of a check, without the port, which differs. */
  get checkRequest(): string {
    const [request] = this.backend.seen as [BackendRequest]
    return `${request.startLine} ${request.header('host')?.replace(/\d+$/, 'port')}`
  }
}

const WORDS: Record<string, string> = { Err: 'E', HcFl: 'C' }

/** The letters of a member, as httpd's balancer-manager shows them. */
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

test('passes and fails members as a running httpd does, check by check', peer('apache2', hasApache), async t => {
  const theirs = await Promise.all(cases.map(({ responses }) => CheckedBackend.start(t, responses)))
  const ours = await Promise.all(cases.map(({ responses }) => CheckedBackend.start(t, responses)))
  const confs = (backends: CheckedBackend[]): string =>
    cases.map((each, i) => confOf(each, i, backends[i]?.backend.address ?? '')).join('\n')
  const apache = await startApache(new Map([['main.test', `${confs(theirs)}\n${MANAGER}`]]))
  t.after(() => apache.close())
  const proxy = createTunnelProxy(fromHttpdConf({ text: confs(ours) }))
  t.after(() => proxy.close())
  await Promise.all(
    cases.map(async ({ name, member }, i) => {
      const [their, our] = [theirs[i], ours[i]] as [CheckedBackend, CheckedBackend]
      const url = `http://${their.backend.address}${/^\S*/.exec(member)?.[0]}`
      const [expected, got] = await Promise.all([
        their.states(() => statusOf(apache.port, url)),
        our.states(() => proxy.balancers.get(`b${i}`)?.members[0]?.status ?? 'none'),
      ])
      assert.equal(got.join(' '), expected.join(' '), name)
      assert.equal(our.checkRequest, their.checkRequest, name)
    }),
  )
  t.diagnostic(`checks compared: ${cases.reduce((sum, { responses }) => sum + responses.length, 0)}`)
})

test(
  'marks a backend that stops, and uses it again when it starts, as httpd does',
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
