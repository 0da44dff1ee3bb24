import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { appOf, closeAfter, listening } from '../core/gateway.ts'
import { peer } from '../support/peers.ts'
import { hasApache, startApache } from './apache.ts'

const LETTERS = ['a', 'b', 'c', 'd'] as const

/** A balancer's lines, `A`-`D` for members that answer, `X` for one that cannot be reached, and what it is asked in turn. */
interface Case {
  readonly what: string
  readonly members: readonly string[]
  readonly set?: string
  /** Further lines. */
  readonly more?: string
  /** Path, or path and cookie. */
  readonly asked: readonly (string | readonly [path: string, cookie: string])[]
}

const times = (count: number): string[] => Array<string>(count).fill('/x')
const routes = ['A route=ra', 'B route=rb', 'C route=rc']
const sticky = 'stickysession=SID|sid'

const cases: readonly Case[] = [
  { what: 'equals', members: ['A', 'B', 'C', 'D'], asked: times(12) },
  { what: 'one with twice the factor', members: ['A', 'B', 'C', 'D loadfactor=2'], asked: times(12) },
  { what: 'three to one', members: ['A loadfactor=3', 'B'], asked: times(12) },
  { what: 'factors with decimals', members: ['A', 'B loadfactor=2.5'], asked: times(12) },
  { what: 'a disabled one', members: ['A', 'B status=D', 'C', 'D'], asked: times(9) },
  { what: 'a stopped one', members: ['A', 'B status=+S', 'C'], asked: times(6) },
  { what: 'one that shuts down', members: ['A status=OGF', 'B status=+I-Iu', 'C status=-OGF'], asked: times(6) },
  { what: 'one that drains', members: ['A', 'B status=N', 'C'], asked: times(6) },
  { what: 'hot standbys alone', members: ['A status=D', 'B status=H', 'C status=H'], asked: times(6) },
  { what: 'a hot standby that waits', members: ['A', 'B status=H'], asked: times(4) },
  { what: 'spares for one that is missing', members: ['A', 'B status=S', 'C status=R', 'D status=R'], asked: times(6) },
  { what: 'a spare for one that drains', members: ['A', 'B status=N', 'C status=R'], asked: times(6) },
  { what: 'a spare that waits', members: ['A', 'B status=R'], asked: times(4) },
  { what: 'sets', members: ['A lbset=1', 'B lbset=0 status=D', 'C lbset=2'], asked: times(4) },
  { what: 'a standby of a lower set', members: ['A lbset=1', 'B status=H'], asked: times(4) },
  {
    what: 'the least busy, one after the other',
    members: ['A', 'B', 'C'],
    set: 'lbmethod=bybusyness',
    asked: times(6),
  },
  { what: 'a dead one and a good one', members: ['X', 'B'], asked: times(4) },
  { what: 'a dead one without further attempts', members: ['X', 'B'], set: 'maxattempts=0', asked: times(4) },
  { what: 'a dead one whose errors are ignored', members: ['X status=+I', 'B'], asked: times(4) },
  { what: 'dead ones alone', members: ['X', 'X/1'], asked: times(2) },
  { what: 'dead ones alone, not tried again', members: ['X', 'X/1'], set: 'forcerecovery=Off', asked: times(3) },
  { what: 'a standby for a dead one', members: ['X', 'B status=H'], asked: times(3) },
  { what: 'nobody', members: [], asked: times(1) },
  {
    what: 'an answer that fails its member',
    members: ['A', 'B'],
    set: 'failonstatus=503',
    asked: ['/503', ...times(3)],
  },
  { what: 'paths of members', members: ['A/base', 'B/other/', 'C/'], asked: ['/path/y?z', '/path/y', '/path'] },
  {
    what: 'sessions',
    members: routes,
    set: sticky,
    asked: [
      '/x;sid=zz.rc',
      '/x?sid=zz.rc',
      '/x?q=1&sid=zz.rc&x=1',
      ['/x?sid=zz.rb', 'SID=zz.rc'],
      ['/x', 'a=b; SID=zz.rb'],
      ['/x', 'SID =zz.rc'],
      ['/x', 'XSID=zz.rc'],
      ['/x', 'SID=a.b.rc'],
      ['/x', 'SID=rc'],
      ['/x', 'SID=zz.unknown'],
      ['/x', 'SID=zz.ra, o=1'],
      '/x;sid=zz.rc;foo=1',
      '/x?sid=',
      '/x?xsid=zz.rb',
      '/x',
      '/x',
    ],
  },
  {
    what: 'sessions that end at semicolons',
    members: routes,
    set: `${sticky} scolonpathdelim=On`,
    asked: ['/x;sid=zz.rc;foo=1', '/x;sid=zz.rb'],
  },
  {
    what: 'another separator',
    members: routes,
    set: 'stickysession=SID stickysessionsep=!',
    asked: [
      ['/x', 'SID=zz!rc'],
      ['/x', 'SID=zz.rc'],
    ],
  },
  {
    what: 'no separator',
    members: routes,
    set: 'stickysession=SID stickysessionsep=Off',
    asked: [
      ['/x', 'SID=rb'],
      ['/x', 'SID=rb'],
    ],
  },
  {
    what: 'a disabled one that hands its sessions on',
    members: ['A route=ra status=D redirect=rc', 'B route=rb', 'C route=rc'],
    set: sticky,
    asked: ['/x?sid=z.ra', '/x?sid=z.ra', '/x'],
  },
  {
    what: 'a disabled one that must not lose its sessions',
    members: ['A route=ra status=D', 'B route=rb'],
    set: `${sticky} nofailover=On`,
    asked: ['/x?sid=z.ra', '/x?sid=z.no', '/x'],
  },
  {
    what: 'a dead one with sessions',
    members: ['X route=ra', 'B route=rb'],
    set: sticky,
    asked: ['/x?sid=z.ra', '/x?sid=z.ra'],
  },
  {
    what: 'sessions that are made by Header, as the manual of mod_proxy_balancer shows',
    members: routes,
    set: 'stickysession=SID',
    more: `Header add Set-Cookie "SID=.%{BALANCER_WORKER_ROUTE}e; path=/" env=BALANCER_ROUTE_CHANGED
Header set X-Route "%{BALANCER_SESSION_ROUTE}e %{BALANCER_WORKER_ROUTE}e"
RequestHeader set X-Route "%{BALANCER_WORKER_ROUTE}e" env=BALANCER_WORKER_ROUTE`,
    asked: ['/x', ['/x', 'SID=.rb'], ['/x', 'SID=.rb'], ['/x', 'SID=.gone'], '/x'],
  },
  {
    what: 'one that drains, with sessions',
    members: ['A route=ra status=N', 'B route=rb'],
    set: sticky,
    asked: ['/x?sid=z.ra', '/x', '/x?sid=z.ra'],
  },
]

function confOf({ members, set, more = '' }: Case, ports: readonly number[], dead: number): string {
  const addresses = new Map<string, number>([
    ...LETTERS.map((letter, i): [string, number] => [letter, ports[i] as number]),
    ['x', dead],
  ])
  const lines = members.map(member => {
    const [, letter = '', rest = ''] = /^(\w)(.*)$/.exec(member) ?? []
    return `BalancerMember http://127.0.0.1:${addresses.get(letter.toLowerCase())}${rest}`
  })
  const name = `balancer://b${Math.random().toString(36).slice(2)}`
  return `<Proxy ${name}>\n${lines.join('\n')}\n${set === undefined ? '' : `ProxySet ${set}`}\n</Proxy>\nProxyPass / ${name}/\n${more}`
}

/** Answers with its letter, and with the path it saw where that is the question. */
async function memberOf(t: TestContext, letter: string): Promise<number> {
  const server: Server = createServer((req, res) => {
    if (req.url?.startsWith('/503')) res.statusCode = 503
    res.end(/path/.test(req.url ?? '') ? `${letter}${req.url}` : letter)
  })
  closeAfter(t, server)
  return await listening(server)
}

async function ask(port: number, host: string, path: string, cookie = ''): Promise<string> {
  const headers = { host, connection: 'close', ...(cookie !== '' && { cookie }) }
  const asked = request({ port, path, headers, agent: new Agent() }).end()
  const [res] = await once(asked, 'response')
  let body = ''
  for await (const chunk of res) body += chunk
  const answer = res.statusCode === 200 ? body : String(res.statusCode)
  return [answer, res.headers['set-cookie'], res.headers['x-route']].filter(part => part !== undefined).join(' ')
}

test('chooses whom a running httpd chooses, request by request', peer('apache2', hasApache), async t => {
  const ports: number[] = []
  for (const letter of LETTERS) ports.push(await memberOf(t, letter))
  const gone = createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const dead = (gone.address() as AddressInfo).port
  await new Promise(resolve => gone.close(resolve))

  const hosts = new Map(cases.map((one, i) => [`h${i}.test`, confOf(one, ports, dead)]))
  const apache = await startApache(hosts)
  t.after(() => apache.close())
  let compared = 0
  for (const [i, { what, asked }] of cases.entries()) {
    const host = `h${i}.test`
    const proxy = createTunnelProxy(fromHttpdConf({ text: hosts.get(host) as string }))
    const server = createServer(appOf(proxy))
    closeAfter(t, server)
    t.after(() => proxy.close({ drainTimeout: 0 }))
    const port = await listening(server)
    const [theirs, ours]: [string[], string[]] = [[], []]
    for (const one of asked) {
      const [path, cookie] = typeof one === 'string' ? [one] : one
      theirs.push(await ask(apache.port, host, path as string, cookie))
      ours.push(await ask(port, host, path as string, cookie))
      compared++
    }
    assert.equal(ours.join(' '), theirs.join(' '), what)
  }
  t.diagnostic(`requests compared: ${compared}`)
})
