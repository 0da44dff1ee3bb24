import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import {
  createTunnelProxy,
  type HealthAnswer,
  type HealthCheckOptions,
  type HealthMessage,
  type Member,
} from '@ws-tunnel/core'
import { compileHttpdConf, type Diagnostic, fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { startBackend } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'

const confOf = (lines: string, member: string): string =>
  `${lines}\n<Proxy balancer://c>\nBalancerMember ${member}\n</Proxy>\nProxyPass / balancer://c/`

function checkOf(lines: string, member: string): HealthCheckOptions | undefined {
  const { options, diagnostics } = compileHttpdConf({ text: confOf(lines, member) })
  assert.ok(options, diagnostics.map(({ message }) => message).join('\n'))
  return options.balancers?.['c']?.members[0]?.healthCheck as HealthCheckOptions | undefined
}

const worst = (text: string): Diagnostic | undefined =>
  compileHttpdConf({ text }).diagnostics.find(({ severity }) => severity !== 'ignored')

const WHOLE = { interval: 30_000, timeout: 60_000, passes: 1, fails: 1 }
const A = 'http://a.test'

test('compiles the checks of a member, each setting written out', () => {
  const cases: [lines: string, member: string, check: HealthCheckOptions | undefined][] = [
    ['', A, undefined],
    ['', `${A} hcinterval=5 hcuri=/up`, undefined],
    ['', `${A} hcmethod=None`, undefined],
    ['', `${A} hcmethod=tcp hcuri=/up hcinterval=100ms`, { ...WHOLE, method: 'TCP', interval: 100 }],
    [
      '',
      `${A} hcmethod=OPTIONS11 hcuri=/up hcpasses=2 hcfails=3`,
      { ...WHOLE, method: 'OPTIONS11', passes: 2, fails: 3 },
    ],
    ['', `${A} hcmethod=GET hcuri=/up?x hcpasses=0 hcfails=0`, { ...WHOLE, method: 'GET', uri: '/up?x' }],
    ['', `${A}/ hcmethod=GET hcuri=up`, { ...WHOLE, method: 'GET', uri: '/up' }],
    ['', `${A}/base hcmethod=HEAD hcuri=/up`, { ...WHOLE, method: 'HEAD', uri: '//up' }],
    ['', `${A}/base hcmethod=HEAD`, { ...WHOLE, method: 'HEAD' }],
    ['', `unix:/s|${A} hcmethod=HEAD hcuri=/up`, { ...WHOLE, method: 'HEAD', uri: '/up' }],
    ['ProxyTimeout 7', `${A}/ hcmethod=GET`, { ...WHOLE, method: 'GET', timeout: 7_000 }],
    [
      'ProxyTimeout 7',
      `${A}/ hcmethod=GET timeout=8 hcinterval=1min`,
      { ...WHOLE, method: 'GET', timeout: 8_000, interval: 60_000 },
    ],
  ]
  for (const [lines, member, check] of cases) assert.deepEqual(checkOf(lines, member), check, `${lines} ${member}`)
})

test('takes from a template what does not come after it', () => {
  const template = 'ProxyHCTemplate T hcmethod=GET hcinterval=5 hcuri=/up hcfails=2'
  const whole = { method: 'GET', interval: 5_000, timeout: 60_000, passes: 1, fails: 2, uri: '/up' }
  assert.deepEqual(checkOf(template, `${A} hctemplate=t`), whole)
  assert.deepEqual(checkOf(template, `${A} hctemplate=T hcinterval=9`), { ...whole, interval: 9_000 })
  assert.deepEqual(checkOf(template, `${A} hcinterval=9 hctemplate=T`), whole)
  assert.deepEqual(checkOf('ProxyHCTemplate t', `${A} hctemplate=T`), { ...WHOLE, method: 'TCP' })
  assert.deepEqual(checkOf(`${template}\nProxyHCTemplate U hctemplate=T hcpasses=3`, `${A} hctemplate=U`), {
    ...whole,
    passes: 3,
  })
  assert.deepEqual(checkOf(`${template}\nProxyHCTemplate T hcuri=/other`, `${A} hctemplate=T`), whole)
})

test('keeps templates and conditions of the main server from its virtual hosts, as httpd does', () => {
  const host = (inside: string): string => `<VirtualHost *>\n${inside}\n</VirtualHost>`
  const member = `<Proxy balancer://c>\nBalancerMember ${A} hctemplate=T\n</Proxy>\nProxyPass / balancer://c/`
  assert.match(
    worst(`ProxyHCTemplate T\n${host(member)}`)?.httpd ?? '',
    /^BalancerMember Unknown ProxyHCTemplate name: T$/,
  )
  assert.equal(worst(host(`ProxyHCTemplate T\n${member}`)), undefined)
  assert.equal(worst(`ProxyHCTemplate T\n${member}\n${host('ProxyPreserveHost On')}`), undefined)
})

const answer = (statusCode: number, body = '', headers: HealthAnswer['headers'] = {}): HealthAnswer => ({
  statusCode,
  body,
  headers,
})

const expressions: [expression: string, good: HealthAnswer, bad: HealthAnswer][] = [
  ['{%{REQUEST_STATUS} =~ /^[234]/}', answer(404), answer(500)],
  ['{%{REQUEST_STATUS} -in {200, 302}}', answer(302), answer(301)],
  ["{hc('body') !~ /Under maintenance/}", answer(503, 'ready'), answer(200, 'Under maintenance.')],
  ['"%{HC_BODY} == \'ok\'"', answer(200, 'ok'), answer(200, 'no')],
  ["{%{hc:body} == 'ok'}", answer(200, 'ok'), answer(200)],
  ["{resp('X-Load') -lt 5}", answer(200, '', { 'x-load': '4' }), answer(200, '', { 'x-load': '5' })],
  ['{%{resp:Set-Cookie} == "a=1"}', answer(200, '', { 'set-cookie': ['a=1', 'b=2'] }), answer(200)],
  ['{%{CONTENT_TYPE} =~ m#^text/#}', answer(200, '', { 'content-type': 'text/plain' }), answer(200)],
  [
    "{%{REQUEST_STATUS} == 200 && tolower(hc('BODY')) =~ /up (\\d)/ && $1 -gt 3}",
    answer(200, 'UP 4'),
    answer(200, 'UP 3'),
  ],
  ['true', answer(500), answer(500)],
]

test('looks at status, fields and body as a condition says', () => {
  for (const [expression, good, bad] of expressions) {
    const check = checkOf(`ProxyHCExpr Well ${expression}`, `${A} hcmethod=GET hcuri=/up hcexpr=wELL`)
    assert.equal(check?.expect?.(good), true, expression)
    assert.equal(check?.expect?.(bad), expression === 'true', expression)
  }
})

const GET = `${A} hcmethod=GET hcuri=/`

test('names the line and what is wrong with it', () => {
  const cases: [text: string, line: number, message: RegExp][] = [
    [confOf('ProxyHCExpr x {%{TIME} == 1}', GET), 1, /%\{TIME\} is not supported/],
    [confOf("ProxyHCExpr x {nope('a') == 1}", GET), 1, /nope\(\) is not supported/],
    [confOf("ProxyHCExpr x {constructor('a') == 1}", GET), 1, /constructor\(\) is not supported/],
    [confOf('ProxyHCExpr x {%{REQUEST_STATUS} ==}', GET), 1, /ends too soon/],
    [confOf('', `${A} hcmethod=GET "hcuri=/a b"`), 3, /hcuri= with a space/],
    [confOf('', `${A} hcmethod=GET`), 3, /does not begin with a slash/],
    [confOf('', `${A} hcmethod=HEAD hcuri=up`), 3, /does not begin with a slash/],
    ['ProxyHCTPsize -1', 1, /must be >= 0/],
  ]
  for (const [text, line, message] of cases) {
    const found = worst(text)
    assert.match(found?.message ?? '', message, text)
    assert.equal(found?.line, line, text)
  }
})

test('takes a condition that is left out for none', () => {
  const text = confOf('ProxyHCExpr x {%{TIME} == 1}', `${GET} hcexpr=x`)
  const { options } = compileHttpdConf({ text, allow: ['ProxyHCExpr'] })
  assert.deepEqual(options?.balancers?.['c']?.members[0]?.healthCheck, { ...WHOLE, method: 'GET', uri: '/' })
})

test('says beside the routes how to connect for checks alone', () => {
  const tls = 'SSLProxyEngine On\nSSLProxyCheckPeerName Off\nSSLProxyCheckPeerExpire Off'
  const { options } = compileHttpdConf({ text: confOf(tls, 'https://a.test/ hcmethod=GET') })
  assert.deepEqual([options?.join, options?.tls?.rejectUnauthorized], ['concat', false])
  assert.equal(compileHttpdConf({ text: confOf('', A) }).options?.join, undefined)
})

test('refuses a check of what is no member as httpd does, and leaves it out', () => {
  const { options, diagnostics } = compileHttpdConf({ text: 'ProxyPass / http://a.test/ hcmethod=GET' })
  assert.ok(options)
  assert.match(diagnostics[0]?.message ?? '', /only members of a balancer have health checks/)
  assert.equal(worst('ProxyPass / http://a.test/ hcmethod=PING')?.httpd, 'ProxyPass Unknown method')
})

test('has no check made of what was compiled, but by the proxy that is made of it', async t => {
  const backend = await startBackend(() => {})
  t.after(backend.close)
  const text = confOf('', `http://${backend.address}/ hcmethod=TCP hcinterval=100ms`)
  const checked = new Map<Member, number>()
  const hear = (message: unknown): void => {
    const { member } = message as HealthMessage
    checked.set(member, (checked.get(member) ?? 0) + 1)
  }
  subscribe('ws-tunnel:health', hear)
  t.after(() => unsubscribe('ws-tunnel:health', hear))
  const proxy = createTunnelProxy(fromHttpdConf({ text }))
  t.after(() => proxy.close())
  await eventually(() => (checked.get(proxy.balancers.get('c')?.members[0] as Member) ?? 0) >= 3)
  assert.equal(checked.size, 1)
})
