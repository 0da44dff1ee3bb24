import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { type ManagerOptions, managerPage } from '@ws-tunnel/manager'

const createProxy = () => createTunnelProxy({ target: false })

test('managerPage throws without authorize, and for wrong options and proxies', () => {
  const wrong: [options: object, message: RegExp][] = [
    [undefined as never, /`options` to be given: `authorize` says who may use the manager, got undefined/],
    [{}, /`authorize`.*`unsafeOpen: true`/],
    [{ authorize: true }, /`authorize`/],
    [{ unsafeOpen: 'yes' }, /`unsafeOpen`/],
    [{ unsafeOpen: false }, /`authorize`/],
    [{ unsafeOpen: true, authorize: () => true }, /`unsafeOpen`/],
    [{ unsafeOpen: true, intervall: 1 }, /`intervall`/],
    [{ unsafeOpen: true, interval: 0 }, /`interval`.*from 100 to 60000, got 0/],
    [{ unsafeOpen: true, history: 1.5 }, /`history`/],
    [{ unsafeOpen: true, maxClients: '3' }, /`maxClients`/],
    [{ unsafeOpen: true, recheck: 0 }, /`recheck`/],
    [{ unsafeOpen: true, path: 'manager' }, /`path`/],
    [{ unsafeOpen: true, path: '/manager/' }, /`path`/],
    [{ unsafeOpen: true, origins: ['admin.example'] }, /`origins`/],
    [{ unsafeOpen: true, origins: ['https://admin.example/'] }, /`origins`/],
    [{ unsafeOpen: true, hosts: ['admin.example:80'] }, /`hosts`/],
    [{ unsafeOpen: true, hosts: ['Admin.example'] }, /`hosts`/],
    [{ unsafeOpen: true, hosts: 'admin.example' }, /`hosts`/],
    [{ unsafeOpen: true, addedMembers: { max: 'many' } }, /`addedMembers.max`/],
    [{ unsafeOpen: true, secret: 'short' }, /`secret`/],
    [{ unsafeOpen: true, title: 1 }, /`title`/],
    [{ unsafeOpen: true, showQuery: 1 }, /`showQuery`/],
    [{ unsafeOpen: true, onChange: 1 }, /`onChange`/],
  ]
  for (const [options, message] of wrong)
    assert.throws(
      () => managerPage(createProxy(), options as ManagerOptions),
      { name: 'TypeError', message },
      String(message),
    )
  for (const proxies of [undefined, null, () => {}, 'proxy', [1], { a: {} }])
    assert.throws(() => managerPage(proxies as never, { unsafeOpen: true }), TypeError, String(proxies))
})
