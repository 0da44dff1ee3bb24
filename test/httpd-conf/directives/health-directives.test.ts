import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HealthCheckOptions } from '@ws-tunnel/core'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { optionsOf, worstOf } from '../support.ts'

const confOf = (lines: string, member: string): string =>
  `${lines}\n<Proxy balancer://c>\nBalancerMember ${member}\n</Proxy>\nProxyPass / balancer://c/`

const checkOf = (lines: string, member: string): HealthCheckOptions | undefined =>
  optionsOf(confOf(lines, member)).balancers?.['c']?.members[0]?.healthCheck as HealthCheckOptions | undefined

const DEFAULTS = { interval: 30_000, timeout: 60_000, passes: 1, fails: 1 }
const A = 'http://a.test'

const GET = `${A} hcmethod=GET hcuri=/`

test('replaces by a template the parameters before it', () => {
  const template = 'ProxyHCTemplate T hcmethod=GET hcinterval=5 hcuri=/up hcfails=2'
  const whole = { method: 'GET', interval: 5_000, timeout: 60_000, passes: 1, fails: 2, uri: '/up' }
  assert.deepEqual(checkOf(template, `${A} hctemplate=t`), whole)
  assert.deepEqual(checkOf(template, `${A} hctemplate=T hcinterval=9`), { ...whole, interval: 9_000 })
  assert.deepEqual(checkOf(template, `${A} hcinterval=9 hctemplate=T`), whole)
  assert.deepEqual(checkOf('ProxyHCTemplate t', `${A} hctemplate=T`), { ...DEFAULTS, method: 'TCP' })
  assert.deepEqual(checkOf(`${template}\nProxyHCTemplate U hctemplate=T hcpasses=3`, `${A} hctemplate=U`), {
    ...whole,
    passes: 3,
  })
  assert.deepEqual(checkOf(`${template}\nProxyHCTemplate T hcuri=/other`, `${A} hctemplate=T`), whole)
})

test('does not show the templates of the main server to a virtual host, as httpd does', () => {
  const host = (inside: string): string => `<VirtualHost *>\n${inside}\n</VirtualHost>`
  const member = `<Proxy balancer://c>\nBalancerMember ${A} hctemplate=T\n</Proxy>\nProxyPass / balancer://c/`
  assert.match(
    worstOf(`ProxyHCTemplate T\n${host(member)}`)?.httpd ?? '',
    /^BalancerMember Unknown ProxyHCTemplate name: T$/,
  )
  assert.equal(worstOf(host(`ProxyHCTemplate T\n${member}`)), undefined)
  assert.equal(worstOf(`ProxyHCTemplate T\n${member}\n${host('ProxyPreserveHost On')}`), undefined)
})

const wrong: [text: string, line: number, message: RegExp][] = [
  [confOf('ProxyHCExpr x {%{TIME} == 1}', GET), 1, /%\{TIME\} is not supported/],
  [confOf("ProxyHCExpr x {nope('a') == 1}", GET), 1, /nope\(\) is not supported/],
  [confOf("ProxyHCExpr x {constructor('a') == 1}", GET), 1, /constructor\(\) is not supported/],
  [confOf('ProxyHCExpr x {%{REQUEST_STATUS} ==}', GET), 1, /ends too soon/],
  ['ProxyHCTPsize -1', 1, /must be >= 0/],
  ['<VirtualHost *>\nProxyHCTPsize 1\n</VirtualHost>', 2, /cannot occur within <VirtualHost> section/],
]

test('reports the line and what is wrong with it', () => {
  for (const [text, line, message] of wrong) {
    const found = worstOf(text)
    assert.match(found?.message ?? '', message, text)
    assert.equal(found?.line, line, text)
  }
})

test('makes the check without a condition that allow leaves out', () => {
  const text = confOf('ProxyHCExpr x {%{TIME} == 1}', `${GET} hcexpr=x`)
  const options = optionsOf(text, { allow: ['ProxyHCExpr'] })
  assert.deepEqual(options.balancers?.['c']?.members[0]?.healthCheck, { ...DEFAULTS, method: 'GET', uri: '/' })
})

test('checks the parameters of a check outside a balancer as httpd does, and ignores them', () => {
  const { options, diagnostics } = compileHttpdConf({ text: 'ProxyPass / http://a.test/ hcmethod=GET' })
  assert.ok(options)
  assert.match(diagnostics[0]?.message ?? '', /only members of a balancer have health checks/)
  assert.equal(worstOf('ProxyPass / http://a.test/ hcmethod=PING')?.httpd, 'ProxyPass Unknown method')
})
