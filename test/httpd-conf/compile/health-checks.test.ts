import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { createTunnelProxy, type HealthCheckOptions, type HealthMessage, type Member } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { openBackend } from '../../support/backend.ts'
import { eventually } from '../../support/gate.ts'
import { optionsOf, worstOf } from '../support.ts'

const confOf = (lines: string, member: string): string =>
  `${lines}\n<Proxy balancer://c>\nBalancerMember ${member}\n</Proxy>\nProxyPass / balancer://c/`

const checkOf = (lines: string, member: string): HealthCheckOptions | undefined =>
  optionsOf(confOf(lines, member)).balancers?.['c']?.members[0]?.healthCheck as HealthCheckOptions | undefined

const DEFAULTS = { interval: 30_000, timeout: 60_000, passes: 1, fails: 1 }
const A = 'http://a.test'

test('compiles the check of a member, with a value for each option', () => {
  const cases: [lines: string, member: string, check: HealthCheckOptions | undefined][] = [
    ['', A, undefined],
    ['', `${A} hcinterval=5 hcuri=/up`, undefined],
    ['', `${A} hcmethod=None`, undefined],
    ['', `${A} hcmethod=tcp hcuri=/up hcinterval=100ms`, { ...DEFAULTS, method: 'TCP', interval: 100 }],
    [
      '',
      `${A} hcmethod=OPTIONS11 hcuri=/up hcpasses=2 hcfails=3`,
      { ...DEFAULTS, method: 'OPTIONS11', passes: 2, fails: 3 },
    ],
    ['', `${A} hcmethod=GET hcuri=/up?x hcpasses=0 hcfails=0`, { ...DEFAULTS, method: 'GET', uri: '/up?x' }],
    ['', `${A}/ hcmethod=GET hcuri=up`, { ...DEFAULTS, method: 'GET', uri: '/up' }],
    ['', `${A}/base hcmethod=HEAD hcuri=/up`, { ...DEFAULTS, method: 'HEAD', uri: '//up' }],
    ['', `${A}/base hcmethod=HEAD`, { ...DEFAULTS, method: 'HEAD' }],
    ['', `unix:/s|${A} hcmethod=HEAD hcuri=/up`, { ...DEFAULTS, method: 'HEAD', uri: '/up' }],
    ['ProxyTimeout 7', `${A}/ hcmethod=GET`, { ...DEFAULTS, method: 'GET', timeout: 7_000 }],
    [
      'ProxyTimeout 7',
      `${A}/ hcmethod=GET timeout=8 hcinterval=1min`,
      { ...DEFAULTS, method: 'GET', timeout: 8_000, interval: 60_000 },
    ],
  ]
  for (const [lines, member, check] of cases) assert.deepEqual(checkOf(lines, member), check, `${lines} ${member}`)
})

const wrong: [text: string, line: number, message: RegExp][] = [
  [confOf('', `${A} hcmethod=GET "hcuri=/a b"`), 3, /hcuri= with a space/],
  [confOf('', `${A} hcmethod=GET hcuri=/#`), 3, /hcuri= with a space, a "#"/],
  [confOf('', `${A} hcmethod=GET`), 3, /does not begin with a slash/],
  [confOf('', `${A} hcmethod=HEAD hcuri=up`), 3, /does not begin with a slash/],
]

test('reports the member whose hcuri= is not supported, or is not what it seems to be', () => {
  for (const [text, line, message] of wrong) {
    const found = worstOf(text)
    assert.match(found?.message ?? '', message, text)
    assert.equal(found?.line, line, text)
  }
})

test('sets TLS and join beside the routes only if a member has a check', () => {
  const tls = 'SSLProxyEngine On\nSSLProxyCheckPeerName Off\nSSLProxyCheckPeerExpire Off'
  const options = optionsOf(confOf(tls, 'https://a.test/ hcmethod=GET'))
  assert.deepEqual([options.join, options.tls?.rejectUnauthorized], ['concat', false])
  assert.equal(optionsOf(confOf('', A)).join, undefined)
})

test('runs no check before a proxy is created with the options, and then one per interval', async t => {
  const backend = await openBackend(() => {})
  t.after(backend.close)
  const text = confOf('', `http://${backend.address}/ hcmethod=TCP hcinterval=100ms`)
  const checked = new Map<Member, number>()
  const onMessage = (message: unknown): void => {
    const { member } = message as HealthMessage
    checked.set(member, (checked.get(member) ?? 0) + 1)
  }
  subscribe('ws-tunnel:health', onMessage)
  t.after(() => unsubscribe('ws-tunnel:health', onMessage))
  const proxy = createTunnelProxy(fromHttpdConf({ text }))
  t.after(() => proxy.close())
  await eventually(() => (checked.get(proxy.balancers.get('c')?.members[0] as Member) ?? 0) >= 3)
  assert.equal(checked.size, 1)
})
