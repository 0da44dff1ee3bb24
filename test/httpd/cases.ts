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

/** The lines of a balancer and the requests to it. `A`-`D` are members that respond, `X` is a member that cannot be reached. */
export interface Case {
  readonly name: string
  readonly members: readonly string[]
  readonly set?: string
  /** Further lines. */
  readonly more?: string
  /** The requests in their order: a path, or a path and a cookie. */
  readonly requests: readonly (string | readonly [path: string, cookie: string])[]
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

/** Starts a member that responds with its letter, and with the path that it got if the path contains `path`. */
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

async function send(port: number, host: string, path: string, cookie = ''): Promise<string> {
  const headers = { host, connection: 'close', ...(cookie !== '' && { cookie }) }
  const sent = request({ port, path, headers, agent: new Agent() }).end()
  const [res] = await once(sent, 'response')
  let body = ''
  for await (const chunk of res) body += chunk
  // For a member that does not respond, httpd sends 502 and we send 504. docs/httpd.md lists this deviation.
  const result = res.statusCode === 200 ? body.trimEnd() : String(res.statusCode).replace('504', '502')
  return [result, res.headers['set-cookie'], res.headers['x-route']].filter(part => part !== undefined).join(' ')
}

/** Sends the requests of each case to a running httpd and to a gateway of ours, and compares the responses. */
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
  for (const [i, { name, requests }] of cases.entries()) {
    const host = `h${i}.test`
    const proxy = createTunnelProxy(fromHttpdConf({ text: hosts.get(host) as string }))
    const server = createServer(appOf(proxy))
    closeAfter(t, server)
    t.after(() => proxy.close({ drainTimeout: 0 }))
    const port = await listen(server)
    const [theirs, ours]: [string[], string[]] = [[], []]
    for (const one of requests) {
      const [path, cookie] = typeof one === 'string' ? [one] : one
      theirs.push(await send(apache.port, host, path as string, cookie))
      ours.push(await send(port, host, path as string, cookie))
      compared++
    }
    if (ours.join() !== theirs.join()) different.push(`${name}\nhttpd ${theirs.join(' ')}\nours  ${ours.join(' ')}`)
  }
  assert.equal(different.join('\n\n'), '')
  t.diagnostic(`requests compared: ${compared}`)
}
