import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Condition } from '../../../packages/core/src/options/route-options.ts'
import { compileConditions } from '../../../packages/core/src/routing/conditions.ts'
import { requestOf } from '../../support/request.ts'

const URL_TEXTS = { path: '/a é/b', query: 'v=%20&w' }

const groupsOf = (when: Condition[], lines: string[]): (string | undefined)[] | null => {
  const groups = compileConditions(when)(requestOf(lines), URL_TEXTS)
  return groups && [...groups]
}

const yes: Condition = { test: () => true }
const no: Condition = { test: () => false }
const websocket: Condition = { header: 'upgrade', matches: /websocket/i }

const rows: [what: string, when: Condition[], lines: string[], groups: (string | undefined)[] | null][] = [
  ['no condition', [], [], []],
  ['a pattern on a field in any case', [websocket], ['UPGRADE: WebSocket'], ['WebSocket']],
  ['an unanchored pattern', [websocket], ['Upgrade: notwebsocketish'], ['websocket']],
  ['a pattern that does not match', [websocket], ['Upgrade: foo'], null],
  ['a missing field is the empty text', [{ header: 'x-a', matches: /^$/ }], [], ['']],
  ['a missing field against a pattern', [websocket], [], null],
  ['several lines joined', [{ header: 'x-a', matches: /^1, 2$/ }], ['X-A: 1', 'x-a: 2'], ['1, 2']],
  ['a field named like a method of objects', [{ header: '__proto__', matches: /^x$/ }], ['__proto__: x'], ['x']],
  ['not', [{ header: 'upgrade', not: /websocket/i }], ['Upgrade: foo'], []],
  ['not, if it matches', [{ header: 'upgrade', not: /websocket/i }], ['Upgrade: websocket'], null],
  ['not, on a missing field', [{ header: 'upgrade', not: /websocket/i }], [], []],
  ['the path', [{ url: 'path', matches: /^\/(\S) (.)/ }], [], ['/a é', 'a', 'é']],
  ['the path, if it does not match', [{ url: 'path', matches: /v/ }], [], null],
  ['not the path', [{ url: 'path', not: /^\/b/ }], [], []],
  ['not the path, if it matches', [{ url: 'path', not: /b$/ }], [], null],
  ['the query without its question mark', [{ url: 'query', matches: /^v=([^&]*)/ }], [], ['v=%20', '%20']],
  ['not the query', [{ url: 'query', not: /w/ }], [], null],
  [
    'any of path and query',
    [
      {
        any: [
          { url: 'path', matches: /x/ },
          { url: 'query', matches: /w/ },
        ],
      },
    ],
    [],
    ['w'],
  ],
  ['test', [yes], [], []],
  ['test that returns false', [no], [], null],
  ['all must hold', [yes, websocket, no], ['Upgrade: websocket'], null],
  ['any of none', [{ any: [] }], [], null],
  ['any, the first holds', [{ any: [yes, no] }], [], []],
  ['any, the last holds', [{ any: [no, no, websocket] }], ['Upgrade: websocket'], ['websocket']],
  ['any, none holds', [{ any: [no, websocket] }], [], null],
  ['any within any', [{ any: [no, { any: [no, yes] }] }], [], []],
  ['groups', [{ header: 'host', matches: /^(\w+)\.(\w+)(x)?$/ }], ['Host: a.b'], ['a.b', 'a', 'b', undefined]],
  [
    'groups of the last that matched',
    [
      { header: 'host', matches: /^(\w+)/ },
      { header: 'cookie', matches: /room=(\d+)/ },
    ],
    ['Host: a', 'Cookie: room=7'],
    ['room=7', '7'],
  ],
  [
    'a later one that captures nothing empties %1',
    [{ header: 'host', matches: /^(\w+)/ }, websocket],
    ['Host: a', 'Upgrade: websocket'],
    ['websocket'],
  ],
  [
    'a negated one leaves the groups alone',
    [
      { header: 'host', matches: /^(\w+)/ },
      { header: 'upgrade', not: /h2c/ },
    ],
    ['Host: a'],
    ['a', 'a'],
  ],
  ['test leaves the groups alone', [{ header: 'host', matches: /^(\w+)/ }, yes], ['Host: a'], ['a', 'a']],
  [
    'any gives the groups of the one that held',
    [
      {
        any: [
          { header: 'host', matches: /^(b)/ },
          { header: 'host', matches: /^(a)/ },
        ],
      },
    ],
    ['Host: a'],
    ['a', 'a'],
  ],
]

test('holds if RewriteCond holds, and keeps the same groups', () => {
  for (const [what, when, lines, groups] of rows) assert.deepEqual(groupsOf(when, lines), groups, what)
})

test('stops at the first condition that fails, and within any at the first that holds', () => {
  const called: string[] = []
  const says = (name: string, holds: boolean): Condition => ({
    test: () => {
      called.push(name)
      return holds
    },
  })
  groupsOf([{ any: [says('a', false), says('b', true), says('c', true)] }, says('d', false), says('e', true)], [])
  assert.deepEqual(called, ['a', 'b', 'd'])
})

test('500s if a test of the user throws', () => {
  const boom = new Error('boom')
  const when: Condition[] = [
    {
      any: [
        {
          test: () => {
            throw boom
          },
        },
      ],
    },
  ]
  assert.throws(() => groupsOf(when, []), { code: 'WST_ERR_CALLBACK', statusCode: 500, cause: boom, message: /boom/ })
})
