import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROFILES } from '../../../packages/httpd-conf/src/compile/context.ts'
import { prefixTest, variantsOf } from '../../../packages/httpd-conf/src/compile/variants.ts'
import { Report } from '../../../packages/httpd-conf/src/diagnostics.ts'
import {
  type Alias,
  emptyScope,
  emptyServer,
  type Location,
} from '../../../packages/httpd-conf/src/directives/model.ts'

const place = { file: 'x.conf', line: 1, column: 1, text: '' }

const aliasOf = (fake: string, regex?: RegExp): Alias => ({
  name: 'ProxyPass',
  place,
  fake,
  regex,
  real: 'http://b.test/',
  nocanon: false,
  mapping: 'decoded',
  parameters: new Map(),
})

/** A section that sets its own name as the idle timeout of WebSockets. */
const section = (path: string, websocketIdle: number, regex?: RegExp): Location => ({
  name: '<Location',
  place,
  path,
  regex,
  scope: { ...emptyScope(), websocketIdle },
})

const rows: [what: string, alias: Alias, sections: Location[], variants: [idle: number, lookaheads: string][]][] = [
  ['no section', aliasOf('/a'), [], [[0, '']]],
  ['a section around the path', aliasOf('/a/b'), [section('/a', 1)], [[1, '']]],
  ['a section for every path', aliasOf('^/x', /^\/x/), [section('/', 1)], [[1, '']]],
  ['a section beside the path', aliasOf('/a'), [section('/ab', 1)], [[0, '']]],
  ['a section that never matches', aliasOf('/a'), [section('/a//b', 1)], [[0, '']]],
  [
    'a section below the path',
    aliasOf('/a'),
    [section('/a/b', 1)],
    [
      [1, '(?=\\/+a\\/+b(?=\\/|$))'],
      [0, '(?!\\/+a\\/+b(?=\\/|$))'],
    ],
  ],
  [
    'a section by pattern, which ignores case',
    aliasOf('/a'),
    [section('b', 1, /b(c)/i)],
    [
      [1, '(?=[^]*?(?:[bB](?:[cC])))'],
      [0, '(?![^]*?(?:[bB](?:[cC])))'],
    ],
  ],
  [
    'two sections around the path, the last one on top',
    aliasOf('/a/b'),
    [section('/a/b', 2), section('/a', 1)],
    [[1, '']],
  ],
]

test('splits the paths of a ProxyPass by the sections that apply to them', () => {
  for (const [what, alias, sections, expected] of rows) {
    const server = emptyServer()
    server.scope.websocketIdle = 0
    server.locations.push(...sections)
    const context = { server, profile: PROFILES['2.4.71'], report: new Report([]) }
    const found = variantsOf(alias, context).map(({ scope, lookaheads }) => [scope.websocketIdle, lookaheads])
    assert.deepEqual(found, expected, what)
  }
})

test('needs one combination for each section that no other one overlaps', () => {
  const server = emptyServer()
  server.locations.push(...Array.from({ length: 100 }, (_, i) => section(`/a/${i}`, i)))
  const report = new Report([])
  const { length } = variantsOf(aliasOf('/a'), { server, profile: PROFILES['2.4.71'], report })
  assert.deepEqual([length, report.failed], [64, true])
  server.locations.splice(60)
  assert.equal(variantsOf(aliasOf('/a'), { server, profile: PROFILES['2.4.71'], report }).length, 61)
})

test('reports more than 64 combinations of sections', () => {
  const server = emptyServer()
  server.locations.push(...Array.from({ length: 7 }, (_, i) => section(`${i}`, i, new RegExp(`${i}`))))
  const report = new Report([])
  assert.equal(variantsOf(aliasOf('/a'), { server, profile: PROFILES['2.4.71'], report }).length, 64)
  assert.match(report.diagnostics[0]?.message ?? '', /more than 64 combinations/)
})

const prefixes: [prefix: string, path: string, matches: boolean][] = [
  ['/a', '/a', true],
  ['/a', '/a/b', true],
  ['/a', '/ab', false],
  ['/a/', '/a/', true],
  ['/a/', '/a', false],
  ['/a/b', '/a///b', true],
  ['/a.b', '/axb', false],
]

test('compares a literal prefix as httpd does', () => {
  for (const [prefix, path, matches] of prefixes)
    assert.equal(new RegExp(`^${prefixTest(prefix)}`).test(path), matches, `${prefix} ${path}`)
})
