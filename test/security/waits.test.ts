import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { echo } from '../support/backend.ts'
import { type ConnectOptions, plainRequest, type RawClient, upgradeRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { async } from '../support/pump.ts'
import { ca } from '../support/tls.ts'
import type { Command, Report } from './descriptors-child.ts'

type State = Extract<Report, { state: unknown }>

/** A gateway in its own process, which may open a limited number of descriptors. */
class LimitedGateway {
  readonly child: ChildProcess
  readonly faults: string[] = []
  port = 0

  constructor(t: TestContext, descriptors: number) {
    const script = fileURLToPath(new URL('./descriptors-child.ts', import.meta.url))
    this.child = spawn('/bin/sh', ['-c', `ulimit -n ${descriptors} && exec "$0" "$@"`, process.execPath, script], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.child.on('message', (report: Report) => {
      if (typeof report === 'object' && 'fault' in report) this.faults.push(report.fault)
    })
    t.after(() => this.child.kill('SIGKILL'))
  }

  async #ask(command: Command): Promise<Report> {
    this.child.send(command)
    return (await once(this.child, 'message'))[0] as Report
  }

  async start(start: WsTunnelOptions, more: { maxConnections?: number; tls?: boolean } = {}): Promise<this> {
    const report = await this.#ask({ start, ...more })
    assert.ok(typeof report === 'object' && 'port' in report, JSON.stringify(report))
    this.port = report.port
    return this
  }

  /** Takes all descriptors of the process but some. */
  fill(free: number): Promise<Report> {
    return this.#ask({ fill: free })
  }

  free(): Promise<Report> {
    return this.#ask('free')
  }

  async state(): Promise<State> {
    return (await this.#ask('state')) as State
  }
}

const limited = { skip: process.platform === 'win32' && 'there is no ulimit' }

for (const host of ['127.0.0.1', 'localhost']) {
  for (const kind of ['an upgrade', 'a plain request'] as const) {
    test(`503s ${kind} to ${host} when descriptors have run out, and blames no member`, limited, async t => {
      const backend = await startBackend(t, echo())
      const gateway = await new LimitedGateway(t, 64).start({
        routes: [{ path: '/live', target: 'balancer://b/', async }],
        balancers: {
          b: {
            members: [1, 2].map(i => ({ url: `ws://${host}:${backend.port}/${i}` })),
            healthCheck: { method: 'TCP', interval: 100 },
          },
        },
      })
      // The first lookup, the first thread and the first connection need descriptors that they keep.
      const open = await connectTunnel(t, gateway.port, '/live')
      await eventually(async () => assert.ok((await gateway.state()).state.every(({ health }) => health === true)))
      const client = await connectClient(t, gateway.port)
      assert.equal((await client.send(plainRequest('/')).whole()).statusCode, 404)
      await gateway.fill(0)
      const request = kind === 'an upgrade' ? upgradeRequest('/live') : plainRequest('/live')
      const response = await client.send(request).whole()
      assert.equal(`${response.statusCode} ${response.body}`, '503 WST_ERR_EXHAUSTED')
      // Checks are due in this time, and cannot be made.
      await sleep(250)
      const { state } = await gateway.state()
      assert.deepEqual(state, [
        { status: '', failures: 0, health: true },
        { status: '', failures: 0, health: true },
      ])
      assert.equal((await open.send('open').readExact(4)).toString(), 'open')
      await gateway.free()
      const next = await connectTunnel(t, gateway.port, '/live')
      assert.equal((await next.send('next').readExact(4)).toString(), 'next')
      assert.deepEqual(gateway.faults, [])
    })
  }
}

/** How the clients of a gateway reach it. */
const WIRES: Record<'TCP' | 'TLS', ConnectOptions> = { TCP: {}, TLS: { tls: { ca, servername: 'localhost' } } }

/** Opens connections at the same time, and asks for a tunnel on each. @returns the open tunnels, and the statuses of the others. */
async function dial(t: TestContext, port: number, count: number, wire: ConnectOptions = {}) {
  const clients = await Promise.all(Array.from({ length: count }, () => connectClient(t, port, wire)))
  for (const client of clients) client.send(upgradeRequest('/live'))
  const statuses = await Promise.all(
    clients.map(client =>
      client.responseHead().then(
        ({ statusCode }) => statusCode,
        () => 'no status' as const,
      ),
    ),
  )
  return {
    tunnels: clients.filter((_, i) => statuses[i] === 101),
    refused: statuses.filter(status => status !== 101),
  }
}

for (const [burst, wire] of [
  [200, 'TCP'],
  [1, 'TCP'],
  [1, 'TLS'],
] as const) {
  const how = `over ${wire} ${burst === 1 ? 'one after the other' : 'at once'}`
  test(
    `gives each of 200 clients that dial ${how} a tunnel or a 503 with 256 descriptors, and keeps every open tunnel`,
    limited,
    async t => {
      const backend = await startBackend(t, echo())
      const gateway = await new LimitedGateway(t, 256).start(
        {
          routes: [{ path: '/live', target: `ws://${backend.address}`, async }],
        },
        { tls: wire === 'TLS' },
      )
      const tunnels: RawClient[] = []
      const refused: unknown[] = []
      for (let i = 0; i < 200; i += burst) {
        const dialled = await dial(t, gateway.port, burst, WIRES[wire])
        tunnels.push(...dialled.tunnels)
        refused.push(...dialled.refused)
      }
      assert.ok(tunnels.length >= 50, `${tunnels.length} tunnels`)
      assert.ok(refused.length >= 50, `${refused.length} refused`)
      assert.deepEqual([...new Set(refused)], [503])
      for (const [i, tunnel] of tunnels.entries())
        assert.equal((await tunnel.send(`tunnel ${i}\n`).readThrough('\n')).toString(), `tunnel ${i}\n`)
      for (const tunnel of tunnels) tunnel.destroy()
      await eventually(async () => assert.equal((await gateway.state()).tunnels, 0))
      const again = await dial(t, gateway.port, 50, WIRES[wire])
      assert.deepEqual([again.tunnels.length, again.refused], [50, []])
      assert.deepEqual(gateway.faults, [])
    },
  )
}

test(
  '503s a connection past maxConnections, tunnels included, and says at the start if descriptors do not suffice',
  limited,
  async t => {
    const backend = await startBackend(t, echo())
    const gateway = await new LimitedGateway(t, 256).start(
      { routes: [{ path: '/live', target: `ws://${backend.address}`, async }] },
      { maxConnections: 3 },
    )
    const tunnels = [await connectTunnel(t, gateway.port, '/live'), await connectTunnel(t, gateway.port, '/live')]
    const idle = await connectClient(t, gateway.port)
    assert.equal((await idle.send(plainRequest('/')).whole()).statusCode, 404)
    const refused = await (await connectClient(t, gateway.port)).whole()
    assert.equal(`${refused.statusCode} ${refused.header('connection')}`, '503 close')
    tunnels[0]?.end()
    await tunnels[0]?.readAll()
    await eventually(async () => assert.equal((await gateway.state()).tunnels, 1))
    await eventually(async () => {
      const client = await connectClient(t, gateway.port)
      const { statusCode } = await client.send(upgradeRequest('/live')).responseHead()
      assert.equal(statusCode, 101)
    })
    const many = await new LimitedGateway(t, 256)
    const warning = once(many.child.stderr as NodeJS.ReadableStream, 'data')
    await many.start({ target: `ws://${backend.address}` }, { maxConnections: 10_000 })
    assert.match(
      String(await warning),
      /WST_WARN_DESCRIPTORS.*maxConnections is 10000.*only 256 descriptors.*about \d+ tunnels/,
    )
  },
)
