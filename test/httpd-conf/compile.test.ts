import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RouteOptions } from '@ws-tunnel/core'
import {
  type Compat,
  compileHttpdConf,
  type Diagnostic,
  diagnosticsOf,
  formatDiagnostic,
  fromHttpdConf,
  type HttpdConf,
  HttpdConfError,
} from '@ws-tunnel/httpd-conf'
import { startBackend, switching } from '../support/backend.ts'
import { openTunnel } from '../support/client.ts'
import { startExpress5 } from '../support/start.ts'
import { ca } from '../support/tls.ts'

const routesOf = (text: string, more: Omit<HttpdConf, 'text'> = {}): readonly RouteOptions[] => {
  const { options, diagnostics } = compileHttpdConf({ text, ...more })
  assert.ok(options, diagnostics.map(formatDiagnostic).join('\n'))
  return options.routes ?? []
}

const routeOf = (text: string, more: Omit<HttpdConf, 'text'> = {}): RouteOptions => {
  const [route, ...others] = routesOf(text, more)
  assert.ok(route)
  assert.equal(others.length, 0)
  return route
}

const said = (text: string, severity: Diagnostic['severity'], more: Omit<HttpdConf, 'text'> = {}): string[] =>
  compileHttpdConf({ text, ...more })
    .diagnostics.filter(diagnostic => diagnostic.severity === severity)
    .map(({ directive, message }) => `${directive}: ${message}`)

const WS = 'ProxyPass /a ws://b.test/'

test('writes every setting out, so that nothing leans on a default', () => {
  const { requestHeaders, ...route } = routeOf(WS)
  assert.equal(typeof requestHeaders, 'function')
  assert.deepEqual(route, {
    name: 'ProxyPass httpd.conf:1',
    path: '/a',
    when: [],
    target: 'ws://b.test/',
    join: 'concat',
    encodedSlashes: 'reject',
    mapping: 'decoded',
    mergeSlashes: true,
    nocanon: false,
    upgrade: 'websocket',
    fallback: true,
    connectTimeout: 60_000,
    handshakeTimeout: 60_000,
    idleTimeout: 60_000,
    halfOpenTimeout: 60_000,
    maxLifetime: 0,
    maxTunnels: 0,
    keepAlive: 0,
    async: true,
    asyncDelay: 0,
    strictHandshake: false,
    preserveHost: false,
    via: 'off',
    addHeaders: true,
    errorOverride: false,
    passReverse: {},
    passReverseCookiePath: {},
    passReverseCookieDomain: {},
    tls: {},
  })
})

/** The first route, with what its worker says over it. */
const served = (text: string, more: Omit<HttpdConf, 'text'> = {}): RouteOptions => {
  const { options } = compileHttpdConf({ text, ...more })
  return { ...routeOf(text, more), ...options?.workers?.[0] }
}

test('combines Timeout, ProxyTimeout, timeout= and connectiontimeout= as httpd does', () => {
  const times = (text: string, compat: Compat = '2.4.71'): unknown => {
    const { connectTimeout, handshakeTimeout, idleTimeout } = served(text, { compat })
    return [connectTimeout, handshakeTimeout, idleTimeout]
  }
  assert.deepEqual(times(`Timeout 5\n${WS} timeout=2`), [2_000, 2_000, 5_000])
  assert.deepEqual(times(`Timeout 5\n${WS} timeout=8`), [8_000, 8_000, 8_000])
  assert.deepEqual(times(`Timeout 5\nProxyTimeout 3\n${WS}`), [3_000, 3_000, 5_000])
  assert.deepEqual(times(`Timeout 5\nProxyTimeout 7\n${WS} connectiontimeout=100ms`), [100, 7_000, 7_000])
  assert.deepEqual(times(`Timeout 5\n${WS} timeout=2`, '2.4.47'), [2_000, 2_000, 2_000])
  assert.deepEqual(times(`ProxyWebsocketFallbackToProxyHttp Off\n${WS}`), [60_000, 60_000, 0])
  assert.deepEqual(times(`ProxyWebsocketIdleTimeout 2min\n${WS}`), [60_000, 60_000, 120_000])
})

test('reads seconds without units where httpd does, and says so', () => {
  assert.equal(routeOf(`ProxyTimeout 300ms\n${WS}`).handshakeTimeout, 300_000)
  assert.match(said(`ProxyTimeout 300ms\n${WS}`, 'warning')[0] ?? '', /httpd reads "300ms" as 300 seconds/)
  assert.match(said(`${WS} timeout=500ms`, 'warning')[0] ?? '', /timeout=500ms as 500 seconds/)
})

test('makes of upgrade= what is documented', () => {
  const upgrade = (line: string): unknown => served(line).upgrade
  assert.equal(upgrade('ProxyPass /a http://b.test/'), false)
  assert.deepEqual(upgrade('ProxyPass /a http://b.test/ upgrade=websocket'), ['websocket'])
  assert.deepEqual(upgrade(`${WS} upgrade=foo,bar`), ['foo', 'bar'])
  assert.equal(upgrade(`${WS} upgrade=any`), 'ANY')
  assert.equal(upgrade(`${WS} upgrade=none`), 'NONE')
})

test('says which line has an upgrade that is no token', () => {
  const { diagnostics } = compileHttpdConf({ text: `ProxyPass /b ws://c.test/\n${WS} upgrade=@` })
  const [{ line, directive, message } = { line: 0, directive: '', message: '' }] = diagnostics
  assert.deepEqual([line, directive], [2, 'ProxyPass'])
  assert.match(message, /upgrade tokens.*got "@"/)
})

test('takes times that no timer of Node can count for the longest that one can', () => {
  const text = `<Proxy balancer://c>
BalancerMember ws://b.test/ retry=3000000 timeout=3000000 connectiontimeout=3000000 acquire=9999999999 hcmethod=TCP hcinterval=3000000
ProxySet timeout=3000000
</Proxy>
ProxyPass /a balancer://c/`
  const { options, diagnostics } = compileHttpdConf({ text })
  assert.deepEqual(
    diagnostics.filter(({ severity }) => severity === 'error'),
    [],
  )
  const { timeout, members: [{ retry, acquireTimeout, healthCheck } = { retry: 0 }] = [] } =
    options?.balancers?.['c'] ?? {}
  const { interval } = healthCheck === false || healthCheck === undefined ? { interval: 0 } : healthCheck
  assert.deepEqual([timeout, retry, acquireTimeout, interval], Array(4).fill(2 ** 31 - 1))
})

test('knows no fallback before 2.4.47', () => {
  assert.equal(routeOf(WS, { compat: '2.4.46' }).fallback, false)
  assert.equal(routeOf(`ProxyWebsocketFallbackToProxyHttp Off\n${WS}`).fallback, false)
  assert.equal(routeOf('ProxyWebsocketFallbackToProxyHttp Off\nProxyPass /a http://b.test/').fallback, true)
})

test('gives a later line with the same worker the parameters of the first, as httpd does', () => {
  const { options } = compileHttpdConf({ text: 'ProxyPass /a ws://b.test/ max=3\nProxyPass /b ws://b.test/x max=5' })
  assert.deepEqual(options?.workers, [{ url: 'ws://b.test/', maxTunnels: 3 }])
  assert.match(
    said('ProxyPass /a ws://b.test/ max=3\nProxyPass /b ws://b.test/x max=5', 'warning')[0] ?? '',
    /Ignoring parameter 'max=5' because of worker sharing: line 1/,
  )
})

test('tells workers by path from workers by pattern', () => {
  const text = `ProxyPass /a http://b.test/x upgrade=chat
ProxyPassMatch ^/m/(.*)$ http://b.test/$1 timeout=5
ProxyPassMatch ^/n/(.*)$ http://b.test/$1/y max=2
<Proxy http://b.test/x/y>
ProxySet keepalive=On
</Proxy>`
  const { options, diagnostics } = compileHttpdConf({ text })
  assert.deepEqual(
    options?.workers?.map(({ url, upgrade, handshakeTimeout, keepAlive, maxTunnels }) => [
      url,
      upgrade,
      handshakeTimeout,
      keepAlive,
      maxTunnels,
    ]),
    [
      ['http://b.test/x', ['chat'], undefined, 7_200_000, undefined],
      ['http://b.test/$1', undefined, 5_000, undefined, undefined],
    ],
  )
  assert.match(diagnostics.map(({ message }) => message).join(), /'max=2' because of worker sharing: line 2/)
})

test('lets no line share the worker of another host, whatever their names look like', () => {
  const urls = (text: string): unknown => compileHttpdConf({ text }).options?.workers?.map(({ url }) => url)
  assert.deepEqual(urls('ProxyPass /a ws://b max=3\nProxyPass /b ws://b2/ max=5'), ['ws://b', 'ws://b2/'])
  const captures = Array.from({ length: 12 }, (_, i) => `$${i % 9}a`).join('')
  const slow = `ProxyPassMatch ^/m/(.*)$ http://b.test/${captures}b max=1\nProxyPassMatch ^/n/(.*)$ http://b.test/${'a'.repeat(400)}$1`
  assert.equal((urls(slow) as string[]).length, 2)
})

test('takes the virtual host that is asked for, over the main server', () => {
  const text = `ProxyVia On\nProxyPass /all ws://all.test/\n<VirtualHost *:80>\nServerName one.test\nServerAlias *.one.test\nProxyPass /1 ws://b.test/\n</VirtualHost>\n<VirtualHost *:80>\nServerName two.test\nProxyVia Off\nProxyPass /2 ws://b.test/\n</VirtualHost>`
  const paths = (serverName: string): unknown[] => routesOf(text, { serverName }).map(({ path, via }) => [path, via])
  assert.deepEqual(paths('one.test'), [
    ['/all', 'on'],
    ['/1', 'on'],
  ])
  assert.deepEqual(paths('www.one.test'), [
    ['/all', 'on'],
    ['/1', 'on'],
  ])
  assert.deepEqual(paths('two.test'), [
    ['/all', 'off'],
    ['/2', 'off'],
  ])
  assert.match(said(text, 'error')[0] ?? '', /there are several virtual hosts: name one/)
  assert.match(said(text, 'error', { serverName: 'no.test' })[0] ?? '', /no virtual host is named no\.test/)
})

test('refuses what would change security or routing, unless it is allowed by name', () => {
  for (const line of [
    'Require ip 10.0.0.0/8',
    'AuthType Basic',
    'RemoteIPHeader X-Real-IP',
    'LimitRequestBody 10',
    '<Limit POST>\n</Limit>',
    'SetHandler x',
    'ErrorDocument 503 /x',
    '<Proxy balancer://c>\nBalancerMember ajp://b.test\n</Proxy>',
    `${WS} mapping=servlet interpolate`,
    'ProxyPassMatch ^/(a) ws://b.test/$1 nocanon',
    'RequestHeader set Upgrade websocket',
  ]) {
    const directive = (/\n(BalancerMember)/.exec(line)?.[1] ?? /^<?(\w+)/.exec(line)?.[1]) as string
    assert.equal(said(`${line}\n${WS}`, 'error').length, 1, line)
    assert.equal(said(`${line}\n${WS}`, 'error', { allow: [directive] }).length, 0, line)
    assert.match(said(`${line}\n${WS}`, 'ignored', { allow: [directive.toLowerCase()] }).join(), /\(allowed\)/, line)
  }
})

test('says of each line outside its field once why it is left out', () => {
  const ignored = said(
    `Listen 80\nDocumentRoot /x\nSSLEngine On\nRequire all granted\n<Directory /x>\nRequire ip 1\n</Directory>\n${WS}`,
    'ignored',
  )
  assert.deepEqual(
    ignored.map(text => text.split(':')[0]),
    ['Listen', 'DocumentRoot', 'SSLEngine', 'Require', '<Directory'],
  )
})

test("names the how-to's RequestHeader lines as the no-ops they are, with the line that works", () => {
  const text = `ProxyPreserveHost On\nProxyPass /ws/ ws://b.test/ws/\nProxyPassReverse /ws/ http://b.test/ws/\nRequestHeader set Upgrade "websocket" env=HTTP_UPGRADE\nRequestHeader set X-Was "1" env=HTTP_ORIGIN`
  const { options, diagnostics } = compileHttpdConf({ text })
  assert.equal(options?.routes?.[0]?.preserveHost, true)
  assert.deepEqual(options?.routes?.[0]?.passReverse, { 'http://b.test/ws/': '/ws/' })
  assert.deepEqual(
    diagnostics.map(({ line, severity, expected }) => [line, severity, expected]),
    [
      [4, 'warning', 'nothing: ProxyPass to ws:// forwards upgrades by itself'],
      [5, 'warning', 'SetEnvIf ORIGIN . HTTP_ORIGIN'],
    ],
  )
})

test('tells what would work in place of the no-op, by where ProxyPass leads', () => {
  const text = 'ProxyPass /ws/ http://b.test/\nRequestHeader set Upgrade "websocket" env=HTTP_UPGRADE'
  const [warning] = compileHttpdConf({ text }).diagnostics
  assert.equal(warning?.expected, 'upgrade=websocket in the ProxyPass line, or ws:// in place of http://')
})

test('knows the directives that the version knows', () => {
  const fallback = `ProxyWebsocketFallbackToProxyHttp On\n${WS}`
  assert.match(said(fallback, 'error', { compat: '2.4.46' }).join(), /no such directive/)
  assert.equal(said(fallback, 'error').length, 0)
  const idle = `ProxyWebsocketIdleTimeout 5\n${WS}`
  assert.match(said(idle, 'warning').join(), /httpd 2\.4 has no such directive/)
  assert.equal(said(idle, 'warning', { compat: '2.5' }).length, 0)
})

test('refuses patterns that JavaScript cannot say or that could hang the process', () => {
  const bad = [
    '(a+)+$',
    '^/(.*)*x$',
    '(a|b+)*c',
    '^/((x+)y?)+$',
    'a++',
    '(?>a)',
    '(?x)a',
    '\\K',
    '(*FAIL)',
    '.*.*.*.*x',
    '^/(.*)a(.*)b(.*)c$',
    '^/(\\\\w+)(\\\\w+)(\\\\w+)$',
    'a+b*a+b*a+x',
    '(?|a|b)',
    '^/(a|a)*$',
    '^(?:a|aa)+$',
    '^/(a?){30}a{30}$',
    '(?=(a|a)*$)x',
    '^(a|a)*(?!b)c',
    `^${'a?'.repeat(30)}a{30}$`,
    '^.{0,200}.{0,200}.{0,200}x',
    '^/(?!x)(a|a)*$',
    '^/(?<=/)(a|a)*$',
    '^/((?!x)a*)*$',
    '^/a*(?!a*a*x)$',
    '^/(?<!a*c*)b',
    '^/(a*)(\\\\1|a)*$',
    '(a+)\\\\1*b',
    '^/(?:(?:(?:a{0,7}){0,7}){0,7}){0,7}$',
    '^/((a{1,7}){1,7}){1,8}$',
    '^/(?:a?a?a?a?a?a?a?a?){8}$',
    '^/(?:a*){12}$',
  ]
  for (const pattern of bad)
    assert.match(
      said(`ProxyPassMatch "${pattern}" ws://b.test/`, 'error').join(),
      /exponential|counterpart|to the power|could not be shown|ways together|no fixed length/,
      pattern,
    )
  const good = [
    '^/[ab]+$',
    '^/(a|b)$',
    '^/(\\w+)/(.*)$',
    '[]x]',
    '[^]x]',
    '\\Aa\\z',
    '(?i)^/CI',
    '[[:alpha:]_]+',
    '\\Qa.b\\E',
    '(?#note)a',
    '(?<n>a)\\k<n>',
    '^/[\\s\\S]+$',
    '^/(.*)/(.*)/(.*)$',
    '^/([^/]+)/([^/]+)/([^/]+)/([^/]+)/x$',
    '^(/.*\\\\.gif)$',
    '(a|b)+',
    '^/[a-f0-9-]{36}/ws$',
    '^/[^/]{1,64}/[^/]{1,64}$',
    '^/(\\d{1,3})\\.(\\d{1,3})/(.*)$',
    '^/(?:[^/]+/)*ws$',
    '^/(?:one|two|three)*/ws$',
    '^/(?!static/|api/).*$',
    '^/(?!.*\\\\.php$).*',
    '^((?!foo).)*$',
    '^(.*)(?<!/)$',
    '^/(?=.*\\\\d)(?=.*[a-z]).{8,64}$',
    '^/([a-z]+)/\\\\1/(.*)$',
    '^/(?:25[0-5]|1?\\\\d?\\\\d)(?:\\\\.(?:25[0-5]|1?\\\\d?\\\\d)){3}$',
    '\\\\.(?:css|js|png|jpe?g)$',
  ]
  for (const pattern of good)
    assert.equal(said(`ProxyPassMatch "${pattern}" ws://b.test/`, 'error').join(), '', pattern)
})

test('compiles the TLS of a backend from SSLProxy lines', () => {
  const files = {
    read: (file: string) => (file === '/pki/ca.pem' ? ca : undefined),
    find: () => [],
    exists: () => false,
  }
  const tls =
    'SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCACertificateFile ca.pem\nSSLProxyProtocol all -TLSv1 -TLSv1.1'
  const route = routeOf(`${tls}\nProxyPass /a wss://b.test/`, { files, serverRoot: '/pki' })
  assert.deepEqual(route.tls, { rejectUnauthorized: true, ca: ca, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' })
  const errors = (text: string): string => said(text, 'error', { files }).join('\n')
  const kept = said(`${tls}\nProxyPreserveHost On\nProxyPass /a wss://b.test/`, 'warning', {
    files,
    serverRoot: '/pki',
  })
  assert.match(kept.join(), /always for the host of the URL/)
  assert.match(errors('ProxyPass /a wss://b.test/'), /needs SSLProxyEngine On/)
  assert.match(errors('SSLProxyEngine On\nProxyPass /a wss://b.test/'), /checks neither the name nor the dates/)
  assert.equal(
    errors('SSLProxyEngine On\nSSLProxyCheckPeerName off\nSSLProxyCheckPeerExpire off\nProxyPass /a wss://b.test/'),
    '',
  )
})

test('throws one error with every wrong line', () => {
  const text = 'ProxyPass /a\nNonsense\nListen 80'
  assert.throws(
    () => fromHttpdConf({ text, file: 'x.conf' }),
    (error: unknown) => {
      assert.ok(error instanceof HttpdConfError)
      assert.equal(error.code, 'WST_ERR_HTTPD_CONF')
      assert.deepEqual(
        error.diagnostics.map(({ line, severity }) => [line, severity]),
        [
          [1, 'error'],
          [2, 'error'],
          [3, 'ignored'],
        ],
      )
      assert.match(error.message, /^x\.conf:1:1: error: ProxyPass: .*needs a path/)
      return true
    },
  )
})

test('hands the options of a file straight to wsTunnel, and their diagnostics on request', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-conf-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const backend = await startBackend(
    switching({ after: connection => connection.write(`you asked for ${connection.requests[0]?.path}`) }),
  )
  t.after(() => backend.close())
  const file = join(folder, 'chat.conf')
  writeFileSync(
    file,
    `<VirtualHost *:80>\n  ServerName chat.test\n  DocumentRoot /nowhere\n  ProxyPass /ws/ ws://127.0.0.1:${backend.port}/inner/\n</VirtualHost>\n`,
  )
  const options = fromHttpdConf(file)
  assert.deepEqual(
    diagnosticsOf(options).map(({ line, directive }) => [line, directive]),
    [[3, 'DocumentRoot']],
  )
  const gateway = await startExpress5('/', options)
  t.after(() => gateway.close())
  const { client } = await openTunnel(gateway.port, '/ws/room?x=1')
  t.after(() => client.destroy())
  const text = 'you asked for /inner/room?x=1'
  assert.equal(String(await client.readExact(text.length)), text)
})
