import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, routesOf } from '../support.ts'

test('merges the virtual host of a name over the main server', () => {
  const text = `ProxyVia On\nProxyPass /all ws://all.test/\n<VirtualHost *:80>\nServerName one.test\nServerAlias *.one.test\nProxyPass /1 ws://b.test/\n</VirtualHost>\n<VirtualHost *:80>\nServerName two.test\nProxyVia Off\nProxyPass /2 ws://b.test/\n</VirtualHost>`
  const paths = (serverName: string): unknown[] => routesOf(text, { serverName }).map(({ path, via }) => [path, via])
  assert.deepEqual(paths('one.test'), [
    ['/all', 'on'],
    ['/1', 'on'],
  ])
  assert.deepEqual(paths('www.one.test'), [
    ['/all', 'on'],
    ['/1', 'on'],
  ])
  assert.deepEqual(paths('two.test'), [
    ['/all', 'off'],
    ['/2', 'off'],
  ])
  assert.match(messagesOf(text, 'error')[0] ?? '', /there are several virtual hosts: name one/)
  assert.match(messagesOf(text, 'error', { serverName: 'no.test' })[0] ?? '', /no virtual host is named no\.test/)
})

test('chooses the only virtual host without a name, and the main server without virtual hosts', () => {
  const host = '<VirtualHost *:80>\nServerName one.test\nProxyPass /1 ws://b.test/\n</VirtualHost>'
  assert.deepEqual(
    routesOf(host).map(({ path }) => path),
    ['/1'],
  )
  assert.match(messagesOf(host, 'error', { serverName: 'no.test' }).join(), /no virtual host is named no\.test/)
  assert.deepEqual(
    routesOf('ProxyPass /0 ws://b.test/', { serverName: 'any.test' }).map(({ path }) => path),
    ['/0'],
  )
})

test('warns if several virtual hosts have the name', () => {
  const host = (port: number): string =>
    `<VirtualHost *:${port}>\nServerName one.test\nProxyPass /${port} ws://b.test/\n</VirtualHost>`
  const text = `${host(80)}\n${host(443)}`
  const warning =
    '<VirtualHost: 2 virtual hosts are named one.test: the first is compiled, because ports are not compared'
  assert.deepEqual(messagesOf(text, 'warning', { serverName: 'one.test' }), [warning])
})
