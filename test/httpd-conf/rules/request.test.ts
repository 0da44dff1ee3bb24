import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldLinesOf, fieldOf, isTls } from '../../../packages/httpd-conf/src/rules/request.ts'
import { requestOf } from '../incoming-message.ts'

const req = requestOf('/', ['Host', 'h', 'X-A', '1', 'x-a', '2', 'X-Empty', ''])

test('joins the lines of a field as httpd does', () => {
  assert.equal(fieldOf(req, 'X-A'), '1, 2')
  assert.equal(fieldOf(req, 'x-empty'), '')
  assert.equal(fieldOf(req, 'X-B'), undefined)
})

test('reads a field as the app has left it', () => {
  const changed = requestOf('/', ['X-User', 'root', 'X-Admin', 'yes'])
  changed.headers['x-user'] = 'alice'
  delete changed.headers['x-admin']
  assert.deepEqual([fieldOf(changed, 'X-User'), fieldOf(changed, 'X-Admin')], ['alice', undefined])
})

test('returns the header lines as the client sent them', () => {
  assert.deepEqual([...fieldLinesOf(req)].slice(1, 3), [
    ['X-A', '1'],
    ['x-a', '2'],
  ])
})

test('recognises a request over TLS by its socket', () => {
  assert.equal(isTls(req), false)
  const encrypted = requestOf('/')
  Object.assign(encrypted.socket, { encrypted: true })
  assert.equal(isTls(encrypted), true)
})
