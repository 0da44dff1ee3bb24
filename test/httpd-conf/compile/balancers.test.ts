import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BalancerOptions, StickySessionOptions } from '@ws-tunnel/core'
import { messagesOf, optionsOf } from '../support.ts'

const balancersOf = (text: string): Readonly<Record<string, BalancerOptions>> => optionsOf(text).balancers ?? {}

test('compiles a balancer with the parameters from every line, and with a value for each option', () => {
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

test('compiles a balancer that no section describes to one without members', () => {
  assert.deepEqual(balancersOf('ProxyPass /x balancer://none/')['none']?.members, [])
})

test('refuses lbmethod heartbeat, and selects by requests if that is allowed', () => {
  const text = '<Proxy balancer://c>\nProxySet lbmethod=heartbeat\n</Proxy>\nProxyPass /x balancer://c/'
  assert.match(messagesOf(text, 'error').join(), /^<Proxy: the lbmethod heartbeat of balancer:\/\/c is not supported/)
  assert.equal(optionsOf(text, { allow: ['Proxy'] }).balancers?.['c']?.lbMethod, 'byrequests')
})

const letters: [status: string, compiled: string][] = [
  ['+H', '+H'],
  ['D-S', 'D-S'],
  ['u', 'D'],
  ['OGF', ''],
]

test('knows the letters of a status as the core does', () => {
  for (const [status, compiled] of letters) {
    const text = `BalancerMember balancer://c http://a.test status=${status}\nProxyPass / balancer://c/`
    assert.equal(balancersOf(text)['c']?.members[0]?.status, compiled, status)
  }
})

test('reads the cookie of stickysession up to a |, and uses its name for the path too if there is no |', () => {
  const sticky = (value: string): unknown => {
    const sticky = balancersOf(`ProxyPass / balancer://c/ stickysession=${value}`)['c']?.stickySession
    const { cookie, path } = sticky as StickySessionOptions
    return [cookie, path]
  }
  assert.deepEqual(sticky('ID'), ['ID', 'ID'])
  assert.deepEqual(sticky('ID|id'), ['ID', 'id'])
})
