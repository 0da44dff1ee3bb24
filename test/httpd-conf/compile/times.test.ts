import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Compat } from '@ws-tunnel/httpd-conf'
import { optionsOf, servedOf } from '../support.ts'

const WS = 'ProxyPass /a ws://b.test/'

const rows: [text: string, limits: [connect: number, handshake: number, idle: number], compat?: Compat][] = [
  [WS, [60_000, 60_000, 60_000]],
  [`Timeout 5\n${WS} timeout=2`, [2_000, 2_000, 5_000]],
  [`Timeout 5\n${WS} timeout=8`, [8_000, 8_000, 8_000]],
  [`Timeout 5\nProxyTimeout 3\n${WS}`, [3_000, 3_000, 5_000]],
  [`Timeout 5\nProxyTimeout 7\n${WS} connectiontimeout=100ms`, [100, 7_000, 7_000]],
  [`Timeout 5\n${WS} timeout=2`, [2_000, 2_000, 2_000], '2.4.47'],
  [`ProxyWebsocketFallbackToProxyHttp Off\n${WS}`, [60_000, 60_000, 0]],
  [`ProxyWebsocketIdleTimeout 2min\n${WS}`, [60_000, 60_000, 120_000]],
  [`ProxyWebsocketIdleTimeout 0\n${WS}`, [60_000, 60_000, 0]],
]

test('combines Timeout, ProxyTimeout, timeout= and connectiontimeout= as httpd does', () => {
  for (const [text, limits, compat = '2.4.71'] of rows) {
    const { connectTimeout, handshakeTimeout, idleTimeout } = servedOf(text, { compat })
    assert.deepEqual([connectTimeout, handshakeTimeout, idleTimeout], limits, text)
  }
})

test('limits a half-open tunnel by the idle timeout, or by Timeout without one', () => {
  assert.equal(servedOf(`Timeout 5\nProxyWebsocketIdleTimeout 7\n${WS}`).halfOpenTimeout, 7_000)
  assert.equal(servedOf(`Timeout 5\nProxyWebsocketIdleTimeout 0\n${WS}`).halfOpenTimeout, 5_000)
})

test('limits times to the longest delay of a timer', () => {
  const text = `<Proxy balancer://c>
BalancerMember ws://b.test/ retry=3000000 timeout=3000000 connectiontimeout=3000000 acquire=9999999999 hcmethod=TCP hcinterval=3000000
ProxySet timeout=3000000
</Proxy>
ProxyPass /a balancer://c/`
  const { timeout, members: [{ retry, acquireTimeout, healthCheck } = { retry: 0 }] = [] } =
    optionsOf(text).balancers?.['c'] ?? {}
  const { interval } = healthCheck === false || healthCheck === undefined ? { interval: 0 } : healthCheck
  assert.deepEqual([timeout, retry, acquireTimeout, interval], Array(4).fill(2 ** 31 - 1))
})
