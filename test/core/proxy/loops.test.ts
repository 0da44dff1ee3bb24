import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { parseTarget } from '../../../packages/core/src/backend/target.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { checkVia, countRound } from '../../../packages/core/src/proxy/loops.ts'
import { socketPath } from '../../support/gate.ts'
import { requestOf } from '../../support/request.ts'

const LOOP = { code: 'WST_ERR_LOOP', statusCode: 508 }

/** A request that a server got from this address. */
function arrived(server: Server, remoteAddress: string | undefined = '127.0.0.1'): IncomingMessage {
  return { socket: { server, remoteAddress } } as unknown as IncomingMessage
}

async function listening(t: { after: (call: () => void) => void }, at: object = { port: 0, host: '127.0.0.1' }) {
  const server = createServer().listen(at)
  await once(server, 'listening')
  t.after(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

const originOf = (url: string) => parseTarget(url, { groups: false, params: [] }).origin

/** The field after one round; `undefined` if there is none. */
function counted(req: IncomingMessage, url: string, before?: string): string | undefined {
  const headers = new HeaderList()
  if (before !== undefined) headers.append('max-forwards', before)
  countRound(headers, req, originOf(url))
  return headers.get('max-forwards')
}

test('counts a request whose target is a port of this process on this machine, and no other', async t => {
  const { server, port } = await listening(t)
  const req = arrived(server)
  const hosts: [host: string, expected: string | undefined][] = [
    ['127.0.0.1', '9'],
    ['127.9.9.9', '9'],
    ['[::1]', '9'],
    ['[0:0:0:0:0:0:0:1]', '9'],
    ['[::ffff:127.0.0.1]', '9'],
    ['0.0.0.0', '9'],
    ['localhost', '9'],
    ['app.localhost', '9'],
    ['192.0.2.1', undefined],
    ['[2001:db8::1]', undefined],
    // A name may lead anywhere. The client of a request that comes back is this machine.
    ['chat.example', '9'],
  ]
  for (const [host, expected] of hosts) assert.equal(counted(req, `ws://${host}:${port}/`), expected, host)
  assert.equal(counted(arrived(server, '192.0.2.9'), `ws://chat.example:${port}/`), undefined)
  assert.equal(counted(arrived(server, undefined), `ws://chat.example:${port}/`), '9')
  assert.equal(counted(req, `ws://127.0.0.1:${port - 1}/`), undefined)
  assert.equal(counted(req, `ws://127.0.0.1:${port - 1}/`, '3'), '3')
})

test('counts down to a 508, and takes no greater number from a client', async t => {
  const { server, port } = await listening(t)
  const url = `ws://127.0.0.1:${port}/`
  let value: string | undefined = '1000000'
  const seen: (string | undefined)[] = []
  for (let i = 0; i < 10; i++) {
    value = counted(arrived(server), url, value)
    seen.push(value)
  }
  assert.deepEqual(seen, ['9', '8', '7', '6', '5', '4', '3', '2', '1', '0'])
  assert.throws(() => counted(arrived(server), url, value), LOOP)
  assert.equal(counted(arrived(server), url, 'many'), '9')
})

test('knows each server of the process, and forgets one that has closed', async t => {
  const [a, b] = [await listening(t), await listening(t)]
  const [toA, toB] = [`ws://127.0.0.1:${a.port}/`, `ws://127.0.0.1:${b.port}/`]
  assert.equal(counted(arrived(a.server), toB), undefined)
  assert.equal(counted(arrived(b.server), toA), '9')
  assert.equal(counted(arrived(a.server), toB), '9')
  b.server.close()
  assert.equal(counted(arrived(a.server), toB), undefined)
})

test('counts a request to a unix socket on which this process listens', async t => {
  const { path, remove } = await socketPath()
  t.after(remove)
  const { server } = await listening(t, { path })
  assert.equal(counted(arrived(server, undefined), `unix:${path}|ws://name/`), '9')
  assert.equal(counted(arrived(server, undefined), `unix:${path}2|ws://name/`), undefined)
})

test('counts nothing for a request without a server', () => {
  assert.equal(counted(requestOf([]), 'ws://127.0.0.1:80/'), undefined)
})

test('refuses a request in whose Via this proxy occurs too often', () => {
  const via = (count: number): HeaderList =>
    new HeaderList()
      .append('Via', Array.from({ length: count }, () => '1.1 Front').join(', '))
      .append('Via', '1.0 other, 1.1 front.example, 1.1 other (front)')
  checkVia(via(10), 'front')
  checkVia(new HeaderList(), 'front')
  assert.throws(() => checkVia(via(11), 'front'), LOOP)
})
