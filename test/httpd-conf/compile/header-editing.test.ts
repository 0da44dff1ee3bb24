import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { messagesOf, optionsOf, sentField } from '../support.ts'

test('warns of RequestHeader lines of common how-tos that have no effect, and names the line that works', () => {
  const text = `ProxyPreserveHost On\nProxyPass /ws/ ws://b.test/ws/\nProxyPassReverse /ws/ http://b.test/ws/\nRequestHeader set Upgrade "websocket" env=HTTP_UPGRADE\nRequestHeader set X-Was "1" env=HTTP_ORIGIN`
  const { options, diagnostics } = compileHttpdConf({ text })
  assert.equal(options?.routes?.[0]?.preserveHost, true)
  assert.deepEqual(options?.routes?.[0]?.passReverse, { 'http://b.test/ws/': '/ws/' })
  assert.deepEqual(
    diagnostics.map(({ line, severity, expected }) => [line, severity, expected]),
    [
      [4, 'warning', 'nothing: ProxyPass to ws:// forwards upgrades by itself'],
      [5, 'warning', 'SetEnvIf ORIGIN . HTTP_ORIGIN'],
    ],
  )
})

test('names the line that works according to the target of ProxyPass', () => {
  const text = 'ProxyPass /ws/ http://b.test/\nRequestHeader set Upgrade "websocket" env=HTTP_UPGRADE'
  const [warning] = compileHttpdConf({ text }).diagnostics
  assert.equal(warning?.expected, 'upgrade=websocket in the ProxyPass line, or ws:// in place of http://')
})

test('knows the variables that SetEnv, SetEnvIf and RewriteRule set', () => {
  const sets = ['SetEnv V 1', 'SetEnvIf Host . V', 'RewriteEngine On\nRewriteRule ^ - [E=V:1]']
  const edit = 'RequestHeader set X 1 env=V\nProxyPass / ws://b.test/'
  assert.match(messagesOf(edit, 'warning').join(), /nothing sets the variable V/)
  for (const line of sets) assert.deepEqual(messagesOf(`${line}\n${edit}`, 'warning'), [], line)
})

test('refuses to take Upgrade away, and warns of an edit without effect', () => {
  const pass = 'ProxyPass / ws://b.test/'
  for (const edit of ['unset Upgrade', 'set Upgrade foo', 'edit Upgrade web x'])
    assert.match(messagesOf(`RequestHeader ${edit}\n${pass}`, 'error').join(), /which requests are upgraded/, edit)
  for (const edit of ['setifempty Upgrade websocket', 'set Upgrade WebSocket', 'set Upgrade %{HTTP:Upgrade}s']) {
    assert.deepEqual(messagesOf(`RequestHeader ${edit}\n${pass}`, 'error'), [], edit)
    assert.match(messagesOf(`RequestHeader ${edit}\n${pass}`, 'warning').join(), /writes the field Upgrade/, edit)
  }
  assert.match(messagesOf(`RequestHeader unset Upgrade\n${pass}`, 'error').join(), /which requests are upgraded/)
  assert.match(
    messagesOf(`RequestHeader unset Connection\n${pass}`, 'warning').join(),
    /the proxy itself writes the field Connection/,
  )
})

test('edits the Host field for X-Forwarded-Host, and for the backend with ProxyPreserveHost only', async () => {
  const text = 'ProxyPass / http://b.test/\nRequestHeader set Host other.test'
  assert.equal(await sentField(text, 'X-Forwarded-Host'), 'other.test')
  assert.equal(await sentField(text, 'Host'), 'b.test')
  assert.equal(await sentField(`ProxyPreserveHost On\n${text}`, 'Host'), 'other.test')
})

test('sets the variables of SetEnv that no SetEnvIf has set before an edit', async () => {
  const text = `SetEnv A 1\nSetEnv B 1\nSetEnvIf X-A . A=2\nRequestHeader set V %{A}e%{B}e\nProxyPass / http://b.test/`
  assert.equal(await sentField(text, 'V', { host: 'h' }), '11')
  assert.equal(await sentField(text, 'V', { host: 'h', 'x-a': 'x' }), '21')
})

test('edits the fields of responses, those of always first, with the variables of the balancer', async t => {
  const backend = await listening(t, (_, res) => res.writeHead(200, { 'X-A': 'a' }).end())
  const text = `<Proxy balancer://c>\nBalancerMember http://127.0.0.1:${backend} route=one\n</Proxy>
Header append X-A b
Header set X-Member %{BALANCER_WORKER_ROUTE}e
Header always set X-Always 1
ProxyPass / balancer://c/`
  const proxy = createTunnelProxy(optionsOf(text))
  t.after(() => proxy.close())
  const gateway = await listening(t, (req, res) => void proxy.handle(req, res))
  const [response] = (await once(get({ port: gateway, agent: false }), 'response')) as [IncomingMessage]
  response.resume()
  assert.deepEqual(
    ['x-a', 'x-member', 'x-always'].map(name => response.headers[name]),
    ['a, b', 'one', '1'],
  )
  const names = response.rawHeaders.map(name => name.toLowerCase())
  assert.ok(names.indexOf('x-always') < names.indexOf('x-a'), names.join())
})

/** The port of a server that serves until the test ends. */
async function listening(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
