import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balancerComplaint, statusesOf } from '../../../packages/httpd-conf/src/directives/balancer-parameters.ts'

const rows: [parameter: string, accepted: string[], refused: string[], complaint: string][] = [
  ['stickysession', ['', 'A|b'], [], ''],
  ['stickysessionsep', ['.', 'off'], ['', '..'], 'stickysessionsep must be a single character or Off'],
  ['nofailover', ['On', 'off'], ['1'], 'failover must be On|Off'],
  ['timeout', ['1'], ['0', 'x'], 'timeout must be at least one second'],
  ['maxattempts', ['0'], ['-1'], 'maximum number of attempts must be a positive number'],
  ['lbmethod', ['byrequests', 'heartbeat'], ['random', 'ByRequests'], 'unknown lbmethod'],
  [
    'failonstatus',
    ['', '100', '500,503 599'],
    ['99', '600', '500,x'],
    'failonstatus must be one or more HTTP response codes',
  ],
  ['nonce', ['x'.repeat(63)], ['x'.repeat(64)], 'Provided nonce is too large'],
  ['growth', ['1', '100'], ['0', '101'], 'growth must be between 1 and 100'],
  ['max', [], ['1'], 'unknown Balancer parameter'],
]

test('checks a parameter of a balancer as set_balancer_param does', () => {
  for (const [key, accepted, refused, complaint] of rows) {
    for (const value of accepted)
      assert.equal(balancerComplaint(key.toUpperCase(), value), undefined, `${key}=${value}`)
    for (const value of refused) assert.equal(balancerComplaint(key, value), complaint, `${key}=${value}`)
  }
})

test('reads the statuses of failonstatus=', () => {
  assert.deepEqual(statusesOf('500,503 504,'), [500, 503, 504])
  assert.deepEqual(statusesOf(''), [])
})
