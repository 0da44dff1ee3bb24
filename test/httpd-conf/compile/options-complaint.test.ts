import assert from 'node:assert/strict'
import { test } from 'node:test'
import { optionsComplaint } from '../../../packages/httpd-conf/src/compile/options-complaint.ts'

test('returns the message of the core for options that it refuses', () => {
  assert.equal(optionsComplaint({ target: 'ws://b.test/' }), undefined)
  assert.match(optionsComplaint({ target: 'ftp://b.test/' }) ?? '', /target/)
})

test('names no code and no option of the core', () => {
  const complaint = optionsComplaint({ routes: [{ path: '/', target: 'ftp://b.test/' }] }) ?? ''
  assert.match(complaint, /^expected the target to be/)
  assert.doesNotMatch(complaint, /WST_ERR|routes/)
})
