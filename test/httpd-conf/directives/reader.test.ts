import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'
const PASS = WS

const errorsOf = (text: string): ReturnType<typeof diagnosticsOf> => diagnosticsOf(text, 'error')

test('refuses a directive that would change security or routing, unless allow names it', () => {
  for (const line of [
    'Require ip 10.0.0.0/8',
    'AuthType Basic',
    'RemoteIPHeader X-Real-IP',
    'LimitRequestBody 10',
    '<Limit POST>\n</Limit>',
    'SetHandler x',
    'ErrorDocument 503 /x',
    '<Proxy balancer://c>\nBalancerMember ajp://b.test\n</Proxy>',
    `${WS} mapping=servlet interpolate`,
    'ProxyPassMatch ^/(a) ws://b.test/$1 nocanon',
    'RequestHeader set Upgrade websocket',
  ]) {
    const directive = (/\n(BalancerMember)/.exec(line)?.[1] ?? /^<?(\w+)/.exec(line)?.[1]) as string
    assert.equal(messagesOf(`${line}\n${WS}`, 'error').length, 1, line)
    assert.equal(messagesOf(`${line}\n${WS}`, 'error', { allow: [directive] }).length, 0, line)
    assert.match(
      messagesOf(`${line}\n${WS}`, 'ignored', { allow: [directive.toLowerCase()] }).join(),
      /\(allowed\)/,
      line,
    )
  }
})

test('reports once why a directive that is not about proxying is left out', () => {
  const ignored = messagesOf(
    `Listen 80\nDocumentRoot /x\nSSLEngine On\nRequire all granted\n<Directory /x>\nRequire ip 1\n</Directory>\n${WS}`,
    'ignored',
  )
  assert.deepEqual(
    ignored.map(text => text.split(':')[0]),
    ['Listen', 'DocumentRoot', 'SSLEngine', 'Require', '<Directory'],
  )
})

test('knows the directives of the version, and warns of those of the next one', () => {
  const fallback = `ProxyWebsocketFallbackToProxyHttp On\n${WS}`
  assert.match(messagesOf(fallback, 'error', { compat: '2.4.46' }).join(), /no such directive/)
  assert.equal(messagesOf(fallback, 'error').length, 0)
  const idle = `ProxyWebsocketIdleTimeout 5\n${WS}`
  assert.match(messagesOf(idle, 'warning').join(), /httpd 2\.4 has no such directive/)
  assert.equal(messagesOf(idle, 'warning', { compat: '2.5' }).length, 0)
})

test('refuses <If> with a reason, and suggests a directive with nearly the same name', () => {
  const [section] = errorsOf(`<If "%{HTTP_HOST} == 'x'">\n${PASS}\n</If>`)
  assert.match(section?.message ?? '', /its condition depends on the request/)
  assert.equal(errorsOf('ProxyPas /a ws://b.test/')[0]?.expected, 'perhaps proxypass')
})
