import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { checkServerIdentity, PeerCertificate } from 'node:tls'
import { ca } from '../../support/tls.ts'
import { filesOf, messagesOf, routeOf } from '../support.ts'

const files = filesOf({ '/pki/ca.pem': ca, '/pki/both.pem': 'PEM' })
const more = { files, serverRoot: '/pki' }
const VERIFIED = 'SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCACertificateFile ca.pem'
const UNVERIFIED = 'SSLProxyEngine On\nSSLProxyCheckPeerName off\nSSLProxyCheckPeerExpire off'

const tlsOf = (lines: string): unknown => routeOf(`${lines}\nProxyPass /a wss://b.test/`, more).tls
const errorsOf = (lines: string): string[] => messagesOf(`${lines}\nProxyPass /a wss://b.test/`, 'error', more)

test('compiles the files of SSLProxy lines, relative to ServerRoot', () => {
  assert.deepEqual(tlsOf(VERIFIED), { rejectUnauthorized: true, ca })
  assert.deepEqual(tlsOf(`${VERIFIED}\nSSLProxyMachineCertificateFile both.pem\nSSLProxyCARevocationFile both.pem`), {
    rejectUnauthorized: true,
    ca,
    cert: 'PEM',
    key: 'PEM',
    crl: 'PEM',
  })
  assert.deepEqual(errorsOf(`${VERIFIED}\nSSLProxyCARevocationFile none.pem`), [
    "SSLProxyCARevocationFile: SSLProxyCARevocationFile: file '/pki/none.pem' does not exist or is empty",
  ])
})

const versions: [words: string, range: [string, string] | RegExp][] = [
  ['all', ['TLSv1', 'TLSv1.3']],
  ['all -TLSv1 -TLSv1.1', ['TLSv1.2', 'TLSv1.3']],
  ['TLSv1.3', ['TLSv1.3', 'TLSv1.3']],
  ['TLSv1.2 TLSv1.3', ['TLSv1.3', 'TLSv1.3']],
  ['TLSv1.2 +TLSv1.3', ['TLSv1.2', 'TLSv1.3']],
  ['-SSLv3 +TLSv1.2', ['TLSv1.2', 'TLSv1.2']],
  ['all -TLSv1.1', /the versions must be consecutive/],
  ['-all', /the versions must be consecutive/],
  ['SSLv3 +TLSv1.2', /SSLv3 is not supported/],
  ['TLSv2', /Illegal protocol 'TLSv2'/],
]

test('compiles SSLProxyProtocol to a range of versions', () => {
  for (const [words, expected] of versions) {
    const lines = `${VERIFIED}\nSSLProxyProtocol ${words}`
    if (expected instanceof RegExp) {
      assert.match(errorsOf(lines).join(), expected, words)
      continue
    }
    const { minVersion, maxVersion } = tlsOf(lines) as { minVersion: string; maxVersion: string }
    assert.deepEqual([minVersion, maxVersion], expected, words)
  }
})

type Check = { rejectUnauthorized: boolean; checkServerIdentity: typeof checkServerIdentity }

const certificate = (names: string, until: string): PeerCertificate =>
  ({ subject: {}, subjectaltname: names, valid_from: 'Jan 1 2020', valid_to: until }) as unknown as PeerCertificate

test('checks name and dates without a verified chain, unless they are switched off', () => {
  const rows: [lines: string, names: string, until: string, error: RegExp | undefined][] = [
    ['SSLProxyEngine On', 'DNS:b.test', 'Jan 1 2999', undefined],
    ['SSLProxyEngine On', 'DNS:other.test', 'Jan 1 2999', /altnames/],
    ['SSLProxyEngine On', 'DNS:b.test', 'Jan 1 2021', /is valid from/],
    ['SSLProxyEngine On\nSSLProxyCheckPeerName Off', 'DNS:other.test', 'Jan 1 2999', undefined],
    ['SSLProxyEngine On\nSSLProxyCheckPeerExpire Off', 'DNS:b.test', 'Jan 1 2021', undefined],
    [UNVERIFIED, 'DNS:other.test', 'Jan 1 2021', undefined],
  ]
  for (const [lines, names, until, error] of rows) {
    const { rejectUnauthorized, checkServerIdentity: check } = tlsOf(lines) as Check
    assert.equal(rejectUnauthorized, false)
    const found = check('b.test', certificate(names, until))
    if (error === undefined) assert.equal(found, undefined, lines)
    else assert.match(found?.message ?? '', error, lines)
  }
})

test('checks the name of a certificate unless SSLProxyCheckPeerName is off', () => {
  const check = (lines: string): unknown =>
    (tlsOf(`${VERIFIED}\n${lines}`) as { checkServerIdentity?: () => unknown }).checkServerIdentity
  assert.equal(check(''), undefined)
  assert.equal((check('SSLProxyCheckPeerName Off') as () => unknown)(), undefined)
})

const wrong: [line: string, message: RegExp][] = [
  ['SSLProxyVerify optional', /optional is not supported/],
  ['SSLProxyVerify maybe', /SSLProxyVerify: Invalid argument 'maybe'/],
  ['SSLProxyCheckPeerName maybe', /SSLProxyCheckPeerName must be On or Off/],
  ['SSLProxyVerifyDepth 3', /SSLProxyVerifyDepth: it is not supported/],
  ['SSLProxyCACertificatePath /pki', /SSLProxyCACertificatePath: it is not supported/],
]

test('reports a setting that it does not support', () => {
  for (const [line, message] of wrong) assert.match(errorsOf(`${VERIFIED}\n${line}`).join(), message, line)
})

test('reads no file while the engine is off', () => {
  assert.deepEqual(routeOf('SSLProxyCACertificateFile none.pem\nProxyPass /a ws://b.test/', more).tls, {})
})
