import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import connect from 'connect'
import { responding } from '../support/backend.ts'
import { startConnect } from '../support/frameworks.ts'
import { startBackend } from '../support/harness.ts'
import { contract } from './contract.ts'
import { assertHttp2 } from './http2.ts'

contract('Connect', startConnect)

test('serves HTTP/2 on Connect, and refuses extended CONNECT with 501', async t => {
  const bodies: string[] = []
  const backend = await startBackend(
    t,
    responding({
      headers: ['X-Back: 1', 'Connection: keep-alive'],
      body: ({ method, path }, body) => {
        bodies.push(`${method} ${path} ${body}`.trim())
        return 'from the backend'
      },
    }),
  )
  const tunnel = wsTunnel({ target: `ws://${backend.address}/` })
  t.after(() => tunnel.close())
  const app = connect().use('/live', tunnel as never)
  const server = createServer({ settings: { enableConnectProtocol: true } }, app as never)
  listenForUpgrades(server as never, app as never)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise(resolve => server.close(resolve)))
  await assertHttp2((server.address() as AddressInfo).port, () => bodies.slice(0, 2))
})
