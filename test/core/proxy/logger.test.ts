import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy, type WsTunnelOptions } from '@ws-tunnel/core'
import { responding } from '../../support/backend.ts'
import { closedPort } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'

async function get(t: TestContext, options: WsTunnelOptions): Promise<number> {
  const proxy = createTunnelProxy(options)
  const server = createServer((req, res) => {
    proxy.handle(req, res).catch(error => res.writeHead(error.statusCode).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
    return proxy.close()
  })
  return (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x?token=secret`)).status
}

test('logs a failure with its backend and without the query', async t => {
  const lines: string[] = []
  const logger = {
    warn: (line: string) => lines.push(`warn ${line}`),
    error: (line: string) => lines.push(`error ${line}`),
  }
  const address = `127.0.0.1:${await closedPort()}`
  assert.equal(await get(t, { target: `http://${address}/`, logger }), 503)
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', new RegExp(`^error GET /x: WST_ERR_CONNECT: .*${address}`))
})

test('logs a failover as a warning', async t => {
  const lines: string[] = []
  const logger = { warn: (line: string) => lines.push(line), error: assert.fail }
  const backend = await startBackend(t, responding())
  const alive = `http://${backend.address}`
  const members = [{ url: `http://127.0.0.1:${await closedPort()}` }, { url: alive }]
  assert.equal(await get(t, { balancers: { b: { members } }, target: 'balancer://b/', logger }), 200)
  assert.match(lines.join(), new RegExp(`^GET /x: failed over to ${alive}: WST_ERR_CONNECT`))
})

test('survives a logger that throws', async t => {
  const fail = (): never => {
    throw new Error('full')
  }
  const warned = once(process, 'warning')
  const target = `http://127.0.0.1:${await closedPort()}/`
  assert.equal(await get(t, { target, logger: { warn: fail, error: fail } }), 503)
  assert.equal((await warned)[0].message, 'full')
})
