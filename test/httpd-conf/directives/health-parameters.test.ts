import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  healthComplaint,
  NO_CHECK,
  readHealthCheck,
} from '../../../packages/httpd-conf/src/directives/health-parameters.ts'
import type { HealthNames } from '../../../packages/httpd-conf/src/directives/model.ts'

const condition = (): [] => []
const names: HealthNames = {
  templates: new Map([['t', { ...NO_CHECK, method: 'GET', uri: '/t' }]]),
  conditions: new Map([['c', condition]]),
}

const rows: [key: string, accepted: string[], refused: string[], complaint: string][] = [
  ['hctemplate', ['T'], ['none'], 'Unknown ProxyHCTemplate name: none'],
  ['hcmethod', ['tcp', 'GET11', 'None'], ['PING'], 'Unknown method'],
  ['hcmethod', [], ['CPING'], 'Health check method CPING not (yet) implemented'],
  ['hcinterval', ['100ms', '1'], ['99ms', '0'], 'Interval must be a positive value greater than 100ms'],
  ['hcinterval', [], ['x'], 'Unparse-able hcinterval setting'],
  ['hcpasses', ['0', '1'], ['-1'], 'Passes must be a positive value'],
  ['hcfails', ['0'], ['-1'], 'Fails must be a positive value'],
  ['hcuri', ['/'.repeat(63)], ['/'.repeat(64)], 'Health check uri length must be < 64 characters'],
  ['hcexpr', ['C'], ['none'], 'Unknown health check condition expr: none'],
  ['timeout', ['x'], [], ''],
]

test('checks a parameter of a health check as set_worker_hc_param does', () => {
  for (const [key, accepted, refused, complaint] of rows) {
    for (const value of accepted) assert.equal(healthComplaint(key.toUpperCase(), value, names), undefined, value)
    for (const value of refused) assert.equal(healthComplaint(key, value, names), complaint, value)
  }
})

test('applies the parameters of a member in their order', () => {
  const read = (...parameters: [string, string][]): unknown => readHealthCheck(new Map(parameters), names)
  assert.deepEqual(read(), NO_CHECK)
  assert.deepEqual(read(['hcmethod', 'head'], ['hcinterval', '5'], ['hcexpr', 'C'], ['max', '1']), {
    ...NO_CHECK,
    method: 'HEAD',
    interval: 5_000,
    condition,
  })
  assert.deepEqual(read(['hcfails', '3'], ['hctemplate', 'T'], ['hcpasses', '2']), {
    ...NO_CHECK,
    method: 'GET',
    uri: '/t',
    passes: 2,
  })
})
