import assert from 'node:assert/strict'
import { channel, hasSubscribers } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { namedProxies, type Proxies, subscribeToProxies } from '../../../packages/manager/src/util/proxies.ts'

const createProxy = () => createTunnelProxy({ target: false })

test('one proxy is called main, those of a list are numbered, and an object gives their names', () => {
  const [a, b] = [createProxy(), createProxy()]
  const names = (proxies: Proxies): string =>
    Array.from(namedProxies(proxies), ([name, proxy]) => name + (proxy === b)).join()
  assert.equal(names(a), 'mainfalse')
  assert.equal(names([a, b]), '1false,2true')
  assert.equal(names(new Set([b])), '1true')
  assert.equal(names({ chat: a, feeds: b }), 'chatfalse,feedstrue')
  assert.equal(names([]), '')
  for (const wrong of [undefined, null, 'proxy', () => {}, [1], { a: {} }, [{ tunnels: new Set(), routes: [] }]])
    assert.throws(() => namedProxies(wrong as never), TypeError, String(wrong))
})

test('listeners get the messages of these proxies alone, with the name of the proxy', () => {
  const [a, b, other] = [createProxy(), createProxy(), createProxy()]
  const proxies = [a]
  const opened: string[] = []
  const stop = subscribeToProxies(proxies, { 'ws-tunnel:open': (_message, name) => opened.push(name) })
  const publish = (proxy: unknown): void => channel('ws-tunnel:open').publish({ proxy })
  publish(a)
  publish(b)
  proxies.push(b)
  for (const proxy of [b, other]) publish(proxy)
  assert.deepEqual(opened, ['1', '2'])
  stop()
  assert.ok(!hasSubscribers('ws-tunnel:open'))
})
