import assert from 'node:assert/strict'
import { constants } from 'node:crypto'
import { test } from 'node:test'
import { compileVirtualHosts, type ServerSettings } from '@ws-tunnel/httpd-conf'
import { filesOf } from '../support.ts'

const files = filesOf({ '/pki/ca.pem': 'CA', '/pki/crl.pem': 'CRL' })

function settingsOf(text: string): ServerSettings {
  const { servers, diagnostics } = compileVirtualHosts({
    text: `${text}\nProxyPass / ws://b.test/`,
    files,
    serverRoot: '/pki',
  })
  assert.ok(servers, diagnostics.map(({ message }) => message).join())
  return servers.hosts[0]?.settings ?? servers.main.settings
}

const rows: [lines: string, expected: Partial<ServerSettings>][] = [
  ['', { timeout: undefined, user: undefined, requestReadTimeout: undefined, tls: {} }],
  [
    'Protocols h2 http/1.1\nProtocolsHonorOrder Off\nH2WebSockets on\nH2WindowSize 2048\nH2MaxSessionStreams 5\nH2MinWorkers 3',
    {
      http2: {
        protocols: ['h2', 'http/1.1'],
        honorsOrder: false,
        webSockets: true,
        windowSize: 2_048,
        maxSessionStreams: 5,
      },
    },
  ],
  ['Protocols http/1.1\nH2WebSockets on', { http2: undefined }],
  ['User www\nGroup #33\nPidFile run.pid', { user: 'www', group: '#33', pidFile: '/pki/run.pid' }],
  ['Timeout 5\nGracefulShutdownTimeout 9', { timeout: 5_000, gracefulShutdownTimeout: 9_000 }],
  [
    'KeepAlive Off\nKeepAliveTimeout 100ms\nMaxKeepAliveRequests 0',
    { keepAlive: false, keepAliveTimeout: 100, maxKeepAliveRequests: 0 },
  ],
  [
    'LimitRequestLine 9\nLimitRequestFields 8\nLimitRequestFieldSize 7',
    { limitRequestLine: 9, limitRequestFields: 8, limitRequestFieldSize: 7 },
  ],
  [
    'RequestReadTimeout header=20-40,MinRate=500 body=20',
    {
      requestReadTimeout: {
        header: { initial: 20_000, max: 40_000, minRate: 500 },
        body: { initial: 20_000, max: undefined, minRate: undefined },
      },
    },
  ],
  ['SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1', { tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } }],
  ['SSLProtocol -all +TLSv1.3', { tls: { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } }],
  [
    'SSLHonorCipherOrder On\nSSLSessionTickets Off',
    { tls: { honorCipherOrder: true, secureOptions: constants.SSL_OP_NO_TICKET } },
  ],
  [
    'SSLCipherSuite ECDHE-RSA-AES128-GCM-SHA256',
    {
      tls: {
        ciphers:
          'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256',
      },
    },
  ],
  [
    'SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256',
    { tls: { ciphers: 'TLS_AES_128_GCM_SHA256:DEFAULT:!aNULL:!eNULL:!EXP' } },
  ],
  ['SSLOpenSSLConfCmd Curves X25519', { tls: { ecdhCurve: 'X25519' } }],
  [
    'SSLVerifyClient optional\nSSLCACertificateFile ca.pem\nSSLCARevocationFile crl.pem',
    { tls: { requestCert: true, rejectUnauthorized: false, ca: 'CA', crl: 'CRL' } },
  ],
  ['SSLCACertificateFile ca.pem', { tls: {} }],
]

test('gives a standalone server what its lines say', () => {
  for (const [lines, expected] of rows) {
    const settings = settingsOf(lines)
    for (const [key, value] of Object.entries(expected))
      assert.deepEqual(settings[key as keyof ServerSettings], value, `${lines}: ${key}`)
  }
})

test('merges the settings of a virtual host over those of the main server', () => {
  const host = '<VirtualHost *:80>\nServerName a.test\nSSLProtocol TLSv1.3\n</VirtualHost>'
  const { tls, timeout } = settingsOf(`Timeout 5\nSSLProtocol TLSv1.2\n${host}`)
  assert.deepEqual([tls.minVersion, timeout], ['TLSv1.3', 5_000])
})

test('takes the limits of the first host of an address for all its hosts', () => {
  const host = (name: string, line: string): string => `<VirtualHost *:80>\nServerName ${name}\n${line}\n</VirtualHost>`
  const text = `${host('a.test', 'LimitRequestFields 3')}\n${host('b.test', 'LimitRequestFields 9')}\nProxyPass / ws://b.test/`
  const { servers } = compileVirtualHosts({ text })
  assert.deepEqual(
    servers?.hosts.map(({ settings }) => settings.limitRequestFields),
    [3, 3],
  )
})

test('reads the file of an ErrorDocument below DocumentRoot, if no backend has its path', () => {
  const documentsOf = (lines: string): ServerSettings['errorDocuments'] =>
    settingsOf(`DocumentRoot /pki\nErrorDocument 503 /ca.pem\n${lines}`).errorDocuments
  assert.ok('page' in (documentsOf('ProxyPass /ca.pem !').get(503) ?? {}))
  assert.ok('page' in (documentsOf('<Location /ca.pem>\nProxyPass !\n</Location>').get(503) ?? {}))
  assert.deepEqual(documentsOf('').get(503), { path: '/ca.pem' }, 'ProxyPass / has it')
  assert.deepEqual(documentsOf('ProxyPassMatch ^/c ws://b.test/').get(503), { path: '/ca.pem' })
})

test('reads ErrorDocument as text, URL or path', () => {
  const { errorDocuments } = settingsOf(
    'ErrorDocument 503 "Sorry, later"\nErrorDocument 404 http://o.test/\nErrorDocument 403 /no.html\nErrorDocument 500 default',
  )
  assert.deepEqual(Object.fromEntries(errorDocuments), {
    403: { path: '/no.html' },
    404: { url: 'http://o.test/' },
    503: { text: 'Sorry, later' },
  })
})
