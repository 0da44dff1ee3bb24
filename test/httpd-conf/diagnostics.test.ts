import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Diagnostic, formatDiagnostic, Report } from '../../packages/httpd-conf/src/diagnostics.ts'

const place = { file: 'x.conf', line: 3, column: 2, text: '\tProxyPass /a b.test\nmore' }
const directive = { name: 'ProxyPass', place }

const reported = (report: Report): unknown[] =>
  report.diagnostics.map(({ severity, column, directive, message, expected, httpd }) =>
    [severity, column, directive, message, expected, httpd].filter(part => part !== undefined),
  )

test('formats a diagnostic with its position, its line and what was expected', () => {
  const report = new Report([])
  report.error(directive, 'wrong', { at: 'b.test', expected: 'a URL', httpd: 'Wrong!' })
  report.fail({ name: '', place }, 'wrong line')
  assert.deepEqual(report.diagnostics.map(formatDiagnostic), [
    'x.conf:3:15: error: ProxyPass: wrong\n  \tProxyPass /a b.test\n  \t             ^\n  expected: a URL\n  httpd: Wrong!',
    'x.conf:3:2: error: wrong line\n  \tProxyPass /a b.test\n  \t^',
  ])
})

test('collects each message of a line once, with its severity', () => {
  const report = new Report([])
  assert.equal(report.failed, false)
  report.warn(directive, 'careful', { at: 'not in the line' })
  report.warn(directive, 'careful')
  report.ignore(directive, 'not needed')
  assert.equal(report.failed, false)
  report.fail(directive, 'wrong')
  assert.equal(report.failed, true)
  assert.deepEqual(reported(report), [
    ['warning', 2, 'ProxyPass', 'careful'],
    ['ignored', 2, 'ProxyPass', 'not needed'],
    ['error', 2, 'ProxyPass', 'wrong', 'wrong'],
  ])
})

test('makes a refusal an ignored line if the directive is allowed, in any letter case and without its <', () => {
  const report = new Report(['proxypass', 'LIMIT'])
  report.refuse(directive, 'not supported')
  report.refuse({ name: '<Limit', place }, 'not supported')
  report.refuse({ name: 'Require', place }, 'not supported')
  report.error(directive, 'wrong')
  assert.deepEqual(
    report.diagnostics.map(({ severity, message }: Diagnostic) => [severity, message]),
    [
      ['ignored', 'not supported (allowed)'],
      ['ignored', 'not supported (allowed)'],
      ['error', 'not supported'],
      ['error', 'wrong'],
    ],
  )
})
