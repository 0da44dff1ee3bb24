import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProxyView } from '@ws-tunnel/manager'
import { totalsText } from '../../../packages/manager/src/page/totals.ts'

const proxy = (counts: Partial<ProxyView>): ProxyView => ({
  name: 'main',
  open: 0,
  opened: 0,
  ended: {},
  errors: {},
  failovers: 0,
  bytesFromClient: 0,
  bytesFromBackend: 0,
  routes: [],
  balancers: [],
  ...counts,
})

test('the totals have no causes if nothing ended or failed', () => {
  assert.equal(
    totalsText([proxy({ opened: 1 })]),
    'Since the manager started: 1 tunnel opened · 0 ended · 0 failed before they opened · 0 B from clients · 0 B from backends',
  )
})

test('the totals add the counts and the causes of all proxies', () => {
  const proxies = [
    proxy({ opened: 1_000, ended: { finished: 2, idle: 1 }, bytesFromClient: 1_500 }),
    proxy({ opened: 10, ended: { finished: 4 }, errors: { WST_ERR_CONNECT: 1 }, bytesFromClient: 500 }),
  ]
  assert.equal(
    totalsText(proxies),
    'Since the manager started: 1,010 tunnels opened · 7 ended (6 finished, 1 idle) · ' +
      '1 failed before they opened (1 WST_ERR_CONNECT) · 2.00 KB from clients · 0 B from backends',
  )
})
