import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'
const PASS = WS

const errorsOf = (text: string): ReturnType<typeof diagnosticsOf> => diagnosticsOf(text, 'error')

test('refuses a directive that would change security or routing, unless allow names it', () => {
  for (const line of [
    '<Location /a>\nRequire ldap-user x\n</Location>',
    '<Location /a>\nAuthType Digest\n</Location>',
    'RemoteIPHeader X-Real-IP',
    'SSLFIPS On',
    'SSLOptions +FakeBasicAuth',
    'MDRequireHttps permanent',
    'SetHandler x',
    '<Proxy balancer://c>\nBalancerMember ajp://b.test\n</Proxy>',
    `${WS}\${V} mapping=servlet interpolate`,
    'RequestHeader unset Upgrade',
  ]) {
    const directive = (/\n(BalancerMember|Require|AuthType)/.exec(line)?.[1] ?? /^<?(\w+)/.exec(line)?.[1]) as string
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
    `Listen 80\nDocumentRoot /x\nSSLEngine On\nOptions None\n<Directory /x>\nRequire ip 1\n</Directory>\n${WS}`,
    'ignored',
  )
  assert.deepEqual(
    ignored.map(text => text.split(':')[0]),
    ['Listen', 'DocumentRoot', 'SSLEngine', 'Options', '<Directory'],
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

test('leaves access control out that allow names, because a middleware does it', () => {
  const text = `<Location /a>\nRequire valid-user\n</Location>\n${WS}`
  const more = { allow: ['Require'] }
  assert.deepEqual(messagesOf(text, 'ignored', more), ['Require: it is left out (allowed)'])
  assert.deepEqual([optionsOf(text, more).guard, typeof optionsOf(text).guard], [undefined, 'function'])
})

test('refuses <IfDirective> with a reason, and suggests a directive with nearly the same name', () => {
  const [section] = errorsOf(`<IfDirective A>\n${PASS}\n</IfDirective>`)
  assert.match(section?.message ?? '', /its condition depends on the request/)
  assert.equal(errorsOf('ProxyPas /a ws://b.test/')[0]?.expected, 'perhaps proxypass')
})
