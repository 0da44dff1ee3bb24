import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HealthResponse } from '@ws-tunnel/core'
import { readHealthExpression } from '../../../packages/httpd-conf/src/rules/health-expression.ts'
import { optionsOf } from '../support.ts'

const responseOf = (statusCode: number, body = '', headers: HealthResponse['headers'] = {}): HealthResponse => ({
  statusCode,
  body,
  headers,
})

const expressions: [expression: string, good: HealthResponse, bad: HealthResponse][] = [
  ['{%{REQUEST_STATUS} =~ /^[234]/}', responseOf(404), responseOf(500)],
  ['{%{REQUEST_STATUS} -in {200, 302}}', responseOf(302), responseOf(301)],
  ["{hc('body') !~ /Under maintenance/}", responseOf(503, 'ready'), responseOf(200, 'Under maintenance.')],
  ['"%{HC_BODY} == \'ok\'"', responseOf(200, 'ok'), responseOf(200, 'no')],
  ["{%{hc:body} == 'ok'}", responseOf(200, 'ok'), responseOf(200)],
  ["{resp('X-Load') -lt 5}", responseOf(200, '', { 'x-load': '4' }), responseOf(200, '', { 'x-load': '5' })],
  ['{%{resp:Set-Cookie} == "a=1"}', responseOf(200, '', { 'set-cookie': ['a=1', 'b=2'] }), responseOf(200)],
  ['{%{CONTENT_TYPE} =~ m#^text/#}', responseOf(200, '', { 'content-type': 'text/plain' }), responseOf(200)],
  [
    "{%{REQUEST_STATUS} == 200 && tolower(hc('BODY')) =~ /up (\\d)/ && $1 -gt 3}",
    responseOf(200, 'UP 4'),
    responseOf(200, 'UP 3'),
  ],
  ['true', responseOf(500), responseOf(500)],
]

test('judges the status, the fields and the body of a response as a condition says', () => {
  for (const [expression, good, bad] of expressions) {
    const text = `ProxyHCExpr Well ${expression}
<Proxy balancer://c>
BalancerMember http://a.test hcmethod=GET hcuri=/up hcexpr=wELL
</Proxy>
ProxyPass / balancer://c/`
    const check = optionsOf(text).balancers?.['c']?.members[0]?.healthCheck
    assert.ok(check)
    assert.equal(check.expect?.(good), true, expression)
    assert.equal(check.expect?.(bad), expression === 'true', expression)
  }
})

const problems: [expression: string, problem: RegExp][] = [
  ['%{TIME} == 1', /^%\{TIME\} is not supported$/],
  ["req('a') == 'b'", /^req\(\) is not supported$/],
]

test('knows no variable and no function of a request', () => {
  for (const [expression, problem] of problems) {
    const read = readHealthExpression(expression)
    assert.match('problem' in read ? read.problem : '', problem)
  }
})
