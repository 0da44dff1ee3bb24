import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { optionsOf } from '../support.ts'

const PASS = 'ProxyPass / ws://b.test/'

test('takes the name of the server from ServerName, from the option, or from the machine', () => {
  assert.equal(optionsOf(`ServerName one.test\n${PASS}`).serverName, 'one.test')
  assert.equal(optionsOf(PASS, { serverName: 'two.test' }).serverName, 'two.test')
  assert.equal(optionsOf(PASS).serverName, hostname())
})

test('sets how paths are decoded beside the routes only if rules rewrite them', () => {
  const { rewrite, encodedSlashes, mergeSlashes } = optionsOf(
    `AllowEncodedSlashes NoDecode\nMergeSlashes Off\nRewriteEngine On\nRewriteRule ^/x - [F]\n${PASS}`,
  )
  assert.deepEqual([typeof rewrite, encodedSlashes, mergeSlashes], ['function', 'keep', false])
  const plain = optionsOf(`AllowEncodedSlashes NoDecode\n${PASS}`)
  assert.deepEqual(
    [plain.rewrite, plain.encodedSlashes, plain.routes?.[0]?.encodedSlashes],
    [undefined, undefined, 'keep'],
  )
})

test('compiles SSLProxy lines only if a route needs them', () => {
  const wrong = 'SSLProxyEngine On\nSSLProxyCACertificateFile /nowhere/at/all.pem'
  assert.equal(optionsOf(`${wrong}\n${PASS}`).routes?.length, 1)
})
