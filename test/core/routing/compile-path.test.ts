import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import type { RouteOptions, RouteSettings } from '../../../packages/core/src/options/route-options.ts'
import { compilePath } from '../../../packages/core/src/routing/compile-path.ts'

const settingsOf = (path: string | RegExp, more: Partial<RouteOptions> = {}): RouteSettings =>
  resolveOptions({ routes: [{ path, target: false, ...more }] }).routes[0] as RouteSettings

const PREFIXES: [path: string, more: Partial<RouteOptions>, request: string, rest: string | null][] = [
  ['/chat', {}, '/chat', ''],
  ['/chat', {}, '/chat/room', '/room'],
  ['/chat', {}, '/chatter', null],
  ['/chat', {}, '/Chat', null],
  ['/chat/', {}, '/chat/room', 'room'],
  ['/chat/', {}, '/chat', null],
  ['/', {}, '/room', '/room'],
  ['/', { join: 'concat' }, '/room', 'room'],
  ['/a\\:b', {}, '/a:b/c', '/c'],
  ['/chat', { mapping: 'servlet' }, '/chat;v=1/room', ';v=1/room'],
]

for (const [path, more, request, rest] of PREFIXES) {
  test(`the prefix ${path} ${JSON.stringify(more)} leaves ${rest} of ${request}`, () => {
    const [match, scope] = compilePath(settingsOf(path, more), 'path')
    assert.equal(match(request)?.rest ?? null, rest)
    assert.deepEqual(scope, { groups: false, params: [], groupCount: more.join === 'concat' ? undefined : 0 })
  })
}

test('a RegExp captures groups, and its rest is the whole path or the group named rest', () => {
  const [match, scope] = compilePath(settingsOf(/^\/rooms\/(\d+)/), 'path')
  assert.deepEqual([...(match('/rooms/7/x')?.groups ?? [])], ['/rooms/7', '7'])
  assert.equal(match('/rooms/7/x')?.rest, '/rooms/7/x')
  assert.equal(match('/rooms/x'), null)
  assert.deepEqual([scope.groups, scope.params, scope.glued, scope.groupCount], [true, [], false, 1])
  const [named] = compilePath(settingsOf(/^\/rooms(?<rest>\/.*)$/), 'path')
  assert.equal(named('/rooms/7/x')?.rest, '/7/x')
})

test('a capture may follow the host where path and target are concatenated', () => {
  assert.equal(compilePath(settingsOf(/^(.*)$/, { join: 'concat' }), 'path')[1].glued, true)
})

test('a RegExp with the flag g or y matches every request alike', () => {
  for (const path of [/room/g, /room/y]) {
    const [match] = compilePath(settingsOf(path), 'path')
    const results = [match('room'), match('room'), match('room')].map(found => found !== null)
    assert.deepEqual(results, [true, true, true], String(path))
  }
})

const PATTERNS: [path: string, request: string, params: object | null, rest?: string][] = [
  ['/rooms/:id', '/rooms/7', { id: '7' }, ''],
  ['/rooms/:id', '/rooms/7/live', { id: '7' }, '/live'],
  ['/rooms/:id', '/rooms', null],
  ['/rooms{/:id}', '/rooms', { id: '' }, ''],
  ['/files/*path', '/files/a/b', { path: 'a/b' }, ''],
  ['/Rooms/:id', '/rooms/7', null],
]

for (const [path, request, params, rest] of PATTERNS) {
  test(`the pattern ${path} finds ${JSON.stringify(params)} in ${request}`, () => {
    const [match, scope] = compilePath(settingsOf(path), 'path')
    const found = match(request)
    assert.deepEqual(found && { ...found.params }, params)
    assert.equal(found?.rest, rest)
    assert.deepEqual(scope, { groups: false, params: [path.includes('id') ? 'id' : 'path'], groupCount: 0 })
  })
}

test('refuses a pattern that cannot be read, and names the option', () => {
  assert.throws(() => compilePath({ ...settingsOf('/x'), path: '/:"' }, 'routes[3].path'), {
    code: 'WST_ERR_OPTION',
    message: /`routes\[3\]\.path`/,
  })
})
