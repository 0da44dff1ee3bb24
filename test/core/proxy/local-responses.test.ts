import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy, explain, type Target } from '@ws-tunnel/core'
import { plainRequest, upgradeRequest } from '../../support/client.ts'
import { connectClient, startGateway } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

const away: Target = () => ({ status: 302, location: 'https://www.example/a?b' })

for (const [what, request] of [
  ['a plain request', plainRequest('/x', { headers: ['Connection: close'] })],
  ['a request with a body', plainRequest('/x', { method: 'POST', body: 'ignored', headers: ['Connection: close'] })],
  ['an upgrade, and closes the connection', upgradeRequest('/x')],
] as const) {
  test(`responds to ${what} with what the target function returns`, async t => {
    const gateway = await startGateway(t, { target: away })
    const client = await connectClient(t, gateway)
    const text = (await client.send(request).readAll()).toString()
    assert.match(text, /^HTTP\/1\.1 302 Found\r\n/)
    assert.match(text, /\r\nlocation: https:\/\/www\.example\/a\?b\r\n/i)
    assert.match(text, /\r\nconnection: close\r\n/i)
    assert.match(text, /\r\n\r\n$/)
    assert.deepEqual([gateway.errors, gateway.opened], [[], []])
  })
}

test('sends no framing of middleware with it', async t => {
  const proxy = createTunnelProxy({ target: away })
  t.after(() => proxy.close())
  const { port } = await startServer(t, (req, res) => {
    res.setHeader('Transfer-Encoding', 'chunked')
    res.setHeader('Content-Length', '3')
    void proxy.handle(req, res)
  })
  const client = await connectClient(t, port)
  const text = (await client.send(plainRequest('/x', { headers: ['Connection: close'] })).readAll()).toString()
  assert.deepEqual(text.match(/^(?:content-length|transfer-encoding): .*$/gim), ['Content-Length: 0'])
})

test('keeps the connection of a plain request after a response of the target function', async t => {
  const { port } = await startGateway(t, { target: async () => ({ status: 410 }) })
  const client = await connectClient(t, port)
  for (let i = 0; i < 2; i++) assert.equal((await client.send(plainRequest('/')).responseHead()).statusCode, 410)
})

test('releases the slot of an upgrade after a response of the target function', async t => {
  const { port } = await startGateway(t, { target: away, maxTunnels: 1 })
  for (let i = 0; i < 2; i++) {
    const client = await connectClient(t, port)
    assert.equal((await client.send(upgradeRequest('/')).responseHead()).statusCode, 302)
  }
})

for (const [what, result] of [
  ['an interim status', { status: 101 }],
  ['a success without content', { status: 204 }],
  ['a status that is not a number', { status: '302' }],
  ['a location with a line break', { status: 302, location: 'https://x/\r\nSet-Cookie: a=b' }],
  ['no status', { location: 'https://x/' }],
] as const) {
  test(`500s a response of a target function with ${what}`, async t => {
    const gateway = await startGateway(t, { target: (() => result) as never })
    const client = await connectClient(t, gateway)
    const { statusCode } = await client.send(plainRequest('/')).responseHead()
    assert.equal(statusCode, 500)
    assert.equal((gateway.errors[0] as { code: string }).code, 'WST_ERR_CALLBACK')
  })
}

test('explains a response of a target function', async () => {
  const { outcome } = await explain({ target: away }, { url: '/x', headers: { host: 'h' } })
  assert.deepEqual(outcome, { kind: 'respond', route: 0, status: 302, location: 'https://www.example/a?b' })
})
