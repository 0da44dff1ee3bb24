import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { echo } from '../support/backend.ts'
import { plainRequest, upgradeRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { async } from '../support/pump.ts'
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
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
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

  async start(start: WsTunnelOptions, maxConnections?: number): Promise<this> {
    const report = await this.#ask({ start, ...(maxConnections === undefined ? {} : { maxConnections }) })
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
