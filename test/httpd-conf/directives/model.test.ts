import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  emptyScope,
  emptyServer,
  mergeScopes,
  mergeServers,
} from '../../../packages/httpd-conf/src/directives/model.ts'

test('merges a section over another one: settings replace those of the other, lists are appended', () => {
  const base = { ...emptyScope(), preserveHost: true, addHeaders: true, reverses: [{ from: 'a', to: '/a' }] }
  base.setEnv.set('A', '1').set('B', '1')
  const over = { ...emptyScope(), preserveHost: false, reverses: [{ from: 'b', to: '/b' }] }
  over.setEnv.set('B', '2')
  const merged = mergeScopes(base, { ...over, addHeaders: undefined })
  assert.deepEqual([merged.preserveHost, merged.addHeaders], [false, true])
  assert.deepEqual(
    merged.reverses.map(({ from }) => from),
    ['a', 'b'],
  )
  assert.deepEqual(
    [...merged.setEnv],
    [
      ['A', '1'],
      ['B', '2'],
    ],
  )
})

test('merges a virtual host over the main server, without its names, rules and AllowEncodedSlashes', () => {
  const main = { ...emptyServer(), names: ['main'], serverName: 'main', timeout: 1, encodedSlashes: 'keep' as const }
  main.rewrites = true
  main.rules.push({} as (typeof main.rules)[number])
  main.balancers.set('c', {
    name: 'c',
    place: { file: '', line: 1, column: 1, text: '' },
    parameters: new Map(),
    members: [],
  })
  const host = { ...emptyServer(), names: ['host'], timeout: 2 }
  const merged = mergeServers(main, host)
  assert.deepEqual(
    [merged.names, merged.serverName, merged.timeout, merged.encodedSlashes, merged.rewrites, merged.rules],
    [['host'], 'main', 2, undefined, false, []],
  )
  assert.deepEqual([...merged.balancers.keys()], ['c'])
  assert.equal(merged.health, host.health)
})
