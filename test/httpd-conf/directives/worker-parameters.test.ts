import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IDLE_PARAMETERS, workerComplaint } from '../../../packages/httpd-conf/src/directives/worker-parameters.ts'

const rows: [parameter: string, accepted: string[], refused: string[], complaint: string][] = [
  ['loadfactor', ['1', '1.5', '100'], ['0', '0.99', '101', 'x'], 'LoadFactor must be a number between 1..100'],
  ['retry', ['0', 'x'], ['-1'], 'Retry must be a positive value'],
  ['ttl', ['1'], ['0', 'x'], 'TTL must be at least one second'],
  ['acquire', ['1', '1s'], ['1x'], 'Acquire timeout has wrong format'],
  ['acquire', ['1'], ['0'], 'Acquire must be at least one millisecond'],
  ['iobuffersize', ['0', '512'], ['511', '1'], 'IOBufferSize must be >= 512 bytes, or 0 for system default.'],
  ['keepalive', ['on', 'OFF'], ['1', ''], 'KeepAlive must be On|Off'],
  [
    'addressttl',
    ['-1', '0', '5', '5000ms', '2147483647'],
    ['1500ms', 'x', '-2', '2147483648'],
    'AddressTTL must be -1 or a number of seconds not exceeding (2147483647)',
  ],
  ['route', ['x'.repeat(63)], ['x'.repeat(64)], 'Route length must be < 64 characters'],
  ['status', ['D', '+H-S', 'ndsehrcoguf', ''], ['X', '+', 'D1'], 'Unknown status parameter option'],
  ['flushpackets', ['auto', 'On'], ['1'], 'flushpackets must be on|off|auto'],
  ['flushwait', ['0', '1000'], ['-1', '1001'], 'flushwait must be <= 1000, or 0 for system default of 10 millseconds.'],
  ['lbset', ['0', '99'], ['-1', '100'], 'lbset must be between 0 and 99'],
  ['upgrade', ['websocket'], ['x'.repeat(16)], 'upgrade protocol length must be < 16 characters'],
  ['constructor', [], ['1'], 'unknown Worker parameter'],
]

test('checks a parameter of a worker as set_worker_param does', () => {
  for (const [key, accepted, refused, complaint] of rows) {
    for (const value of accepted) assert.equal(workerComplaint(key.toUpperCase(), value), undefined, `${key}=${value}`)
    for (const value of refused) assert.equal(workerComplaint(key, value), complaint, `${key}=${value}`)
  }
})

test('gives reasons only for parameters that httpd has', () => {
  for (const key of Object.keys(IDLE_PARAMETERS))
    assert.notEqual(workerComplaint(key, '1'), 'unknown Worker parameter', key)
})
