import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerOptions } from '@ws-tunnel/core'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'

const PASS = 'ProxyPass /x balancer://c/'

function balancersOf(text: string): Readonly<Record<string, BalancerOptions>> {
  const { options, diagnostics } = compileHttpdConf({ text })
  assert.ok(options, diagnostics.map(({ message }) => message).join('\n'))
  return options.balancers ?? {}
}

const errorsOf = (text: string): string[] =>
  compileHttpdConf({ text })
    .diagnostics.filter(({ severity }) => severity === 'error')
    .map(({ line, directive, message }) => `${line} ${directive}: ${message}`)

test('compiles a balancer with all that is said of it, and each setting written out', () => {
  const { c } = balancersOf(`<Proxy balancer://C>
BalancerMember ws://a.test:80/base route=a loadfactor=2.5 lbset=1 retry=5 max=3 acquire=2s redirect=b status=+H timeout=9
BalancerMember http://b.test route=b upgrade=chat
ProxySet lbmethod=bybusyness stickysession=ROUTE|route failonstatus=500,503
</Proxy>
BalancerMember balancer://c https://d.test status=D
ProxySet balancer://c stickysessionsep=! maxattempts=2
SSLProxyEngine On
SSLProxyCheckPeerName Off
SSLProxyCheckPeerExpire Off
ProxyPass /x balancer://c/y nofailover=On scolonpathdelim=On timeout=3 failontimeout=On forcerecovery=Off`)
  assert.deepEqual(c, {
    members: [
      {
        url: 'ws://a.test:80/base',
        upgrade: 'websocket',
        connectTimeout: 9_000,
        handshakeTimeout: 9_000,
        idleTimeout: 60_000,
        halfOpenTimeout: 60_000,
        maxTunnels: 3,
        acquireTimeout: 2000,
        routeId: 'a',
        redirect: 'b',
        loadFactor: 2.5,
        lbSet: 1,
        retry: 5_000,
        status: '+H',
      },
      { url: 'http://b.test', upgrade: ['chat'], routeId: 'b', loadFactor: 1, lbSet: 0, retry: 60_000, status: '' },
      { url: 'https://d.test', upgrade: false, loadFactor: 1, lbSet: 0, retry: 60_000, status: 'D' },
    ],
    lbMethod: 'bybusyness',
    stickySession: { cookie: 'ROUTE', path: 'route', separator: '!', semicolonEnds: true, noFailover: true },
    maxAttempts: 2,
    timeout: 3_000,
    failOnStatus: [500, 503],
    failOnTimeout: true,
    forceRecovery: false,
  })
})

test('knows a balancer that is named and never described, as an empty one', () => {
  assert.deepEqual(balancersOf('ProxyPass /x balancer://nobody/')['nobody']?.members, [])
})

test('names the line and what is wrong with it', () => {
  const section = (line: string): string => `<Proxy balancer://c>\n${line}\n</Proxy>\n${PASS}`
  for (const [text, message] of [
    [section('BalancerMember'), /^2 BalancerMember: BalancerMember must define remote proxy server/],
    [section('BalancerMember ajp://a.test'), /^2 BalancerMember: this scheme is not supported/],
    [section('BalancerMember ws://a.test lbset=100'), /BalancerMember lbset must be between 0 and 99/],
    [section('BalancerMember ws://a.test hcmethod=PING'), /^2 BalancerMember: BalancerMember Unknown method/],
    [section('ProxySet lbmethod=random'), /^2 ProxySet: ProxySet: unknown lbmethod lbmethod=random; balancer:\/\/c/],
    [section('ProxySet lbmethod=heartbeat'), /heartbeat of balancer:\/\/c is not supported/],
    [`${PASS} growth=0`, /^1 ProxyPass: ProxyPass growth must be between 1 and 100/],
    [`${PASS} nofailover=1`, /failover must be On\|Off/],
    [`${PASS} max=1`, /unknown Balancer parameter/],
    ['ProxySet balancer://c lbmethod=byrequests', /ProxySet can not find 'balancer:\/\/c' Balancer/],
    [section('BalancerMember wss://a.test'), /SSLProxyEngine On/],
  ] as const) {
    assert.match(errorsOf(text).join('\n'), message, text)
  }
})
