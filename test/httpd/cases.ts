import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { appOf, closeAfter, listen } from '../support/server.ts'
import { startApache } from './apache.ts'

const LETTERS = ['a', 'b', 'c', 'd'] as const

/** A balancer's lines, `A`-`D` for members that answer, `X` for one that cannot be reached, and what it is asked in turn. */
export interface Case {
  readonly what: string
  readonly members: readonly string[]
  readonly set?: string
  /** Further lines. */
  readonly more?: string
  /** Path, or path and cookie. */
  readonly asked: readonly (string | readonly [path: string, cookie: string])[]
}

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
    if (req.url?.startsWith('/silent')) return
    if (req.url?.startsWith('/big')) res.end(letter.padEnd(20_000))
    else res.end(/path/.test(req.url ?? '') ? `${letter}${req.url}` : letter)
  })
  closeAfter(t, server)
  return await listen(server)
}

async function ask(port: number, host: string, path: string, cookie = ''): Promise<string> {
  const headers = { host, connection: 'close', ...(cookie !== '' && { cookie }) }
  const asked = request({ port, path, headers, agent: new Agent() }).end()
  const [res] = await once(asked, 'response')
  let body = ''
  for await (const chunk of res) body += chunk
  // Where httpd says 502 of a silence we say 504: a deviation that is listed.
  const answer = res.statusCode === 200 ? body.trimEnd() : String(res.statusCode).replace('504', '502')
  return [answer, res.headers['set-cookie'], res.headers['x-route']].filter(part => part !== undefined).join(' ')
}

/** Asks a running httpd and us the same, case by case. */
export async function compareCases(t: TestContext, cases: readonly Case[]): Promise<void> {
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
  const different: string[] = []
  for (const [i, { what, asked }] of cases.entries()) {
    const host = `h${i}.test`
    const proxy = createTunnelProxy(fromHttpdConf({ text: hosts.get(host) as string }))
    const server = createServer(appOf(proxy))
    closeAfter(t, server)
    t.after(() => proxy.close({ drainTimeout: 0 }))
    const port = await listen(server)
    const [theirs, ours]: [string[], string[]] = [[], []]
    for (const one of asked) {
      const [path, cookie] = typeof one === 'string' ? [one] : one
      theirs.push(await ask(apache.port, host, path as string, cookie))
      ours.push(await ask(port, host, path as string, cookie))
      compared++
    }
    if (ours.join() !== theirs.join()) different.push(`${what}\nhttpd ${theirs.join(' ')}\nours  ${ours.join(' ')}`)
  }
  assert.equal(different.join('\n\n'), '')
  t.diagnostic(`requests compared: ${compared}`)
}
