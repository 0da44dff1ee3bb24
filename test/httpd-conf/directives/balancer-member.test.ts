import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, optionsOf } from '../support.ts'

const PASS = 'ProxyPass /x balancer://c/'

const errorLines = (text: string): string[] =>
  diagnosticsOf(text, 'error').map(({ line, directive, message }) => `${line} ${directive}: ${message}`)

test('reports the line of a wrong member, and what is wrong', () => {
  const section = (line: string): string => `<Proxy balancer://c>\n${line}\n</Proxy>\n${PASS}`
  for (const [text, message] of [
    [section('BalancerMember'), /^2 BalancerMember: BalancerMember must define remote proxy server/],
    [section('BalancerMember ajp://a.test'), /^2 BalancerMember: this scheme is not supported/],
    [section('BalancerMember ws://a.test lbset=100'), /BalancerMember lbset must be between 0 and 99/],
    [section('BalancerMember ws://a.test hcmethod=PING'), /^2 BalancerMember: BalancerMember Unknown method/],
    [section('ProxySet lbmethod=random'), /^2 ProxySet: ProxySet: unknown lbmethod lbmethod=random; balancer:\/\/c/],
    [section('ProxySet lbmethod=heartbeat'), /heartbeat of balancer:\/\/c is not supported/],
    [`${PASS} growth=0`, /^1 ProxyPass: ProxyPass growth must be between 1 and 100/],
    [`${PASS} nofailover=1`, /failover must be On\|Off/],
    [`${PASS} max=1`, /unknown Balancer parameter/],
    ['ProxySet balancer://c lbmethod=byrequests', /ProxySet can not find 'balancer:\/\/c' Balancer/],
  ] as const) {
    assert.match(errorLines(text).join('\n'), message, text)
  }
})

test('a member of HTTP/2 keeps its scheme, and one with TLS needs SSLProxyEngine', () => {
  const member = (scheme: string): string => `BalancerMember balancer://c ${scheme}://a.test\n${PASS}`
  assert.equal(optionsOf(member('h2c')).balancers?.['c']?.members[0]?.url, 'h2c://a.test')
  assert.match(messagesOf(member('h2'), 'warning').join(), /SSLProxyEngine/)
})

test('adds members inside a section and outside of it, in the order of the lines', () => {
  const text = `BalancerMember balancer://c http://a.test\n<Proxy balancer://C>\nBalancerMember http://b.test\n</Proxy>\n${PASS}`
  assert.deepEqual(
    optionsOf(text).balancers?.['c']?.members.map(({ url }) => url),
    ['http://a.test', 'http://b.test'],
  )
})

test('warns of a member whose URL begins with that of an earlier one, which httpd takes for the same', () => {
  const text = `BalancerMember balancer://c http://a.test/\nBalancerMember balancer://c http://a.test/x\n${PASS}`
  assert.match(messagesOf(text, 'warning').join(), /has no effect, in httpd too: .* the member in line 1/)
  assert.equal(optionsOf(text).balancers?.['c']?.members.length, 1)
})
