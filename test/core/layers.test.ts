import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const SRC = new URL('../../packages/core/src/', import.meta.url)

/** Lowest first. A module may import from lower layers only, so there is neither a cycle nor a way sideways. */
const LAYERS: readonly (readonly string[])[] = [
  ['direct-read', 'errors'],
  ['checks', 'engine', 'headers', 'path', 'pump'],
  [
    'options',
    'worker',
    'named-worker',
    'backend-request',
    'conditions',
    'lb-methods',
    'pass-reverse',
    'js-engine',
    'native-engine',
    'sticky',
    'target',
    'upgrade',
    'write-head',
  ],
  ['destination', 'listener', 'member', 'tunnel', 'rewriting', 'round-trip'],
  ['balancer', 'route', 'pending-upgrade', 'handshake', 'tunnel-set', 'forward', 'relay'],
  ['route-table'],
  ['proxy', 'explain'],
  ['index'],
]

const modules = readdirSync(SRC).map(name => name.replace(/\.ts$/, ''))
const layerOf = (module: string): number => LAYERS.findIndex(layer => layer.includes(module))

interface Import {
  from: string
  /** Only for its types: gone when the module runs. */
  typeOnly: boolean
}

function allImports(module: string): Import[] {
  const source = readFileSync(new URL(`${module}.ts`, SRC), 'utf8')
  const found = source.matchAll(/^(?:import|export)\s+(?:(type\s+)?(\{[^}]*\}|\*|\w+)\s+from\s+)?'([^']+)'/gm)
  return Array.from(found, ([, type, clause = '', from = '']) => {
    const names = clause.startsWith('{') ? clause.slice(1, -1).split(',') : []
    const named = names.map(name => name.trim()).filter(name => name !== '')
    return { from, typeOnly: type !== undefined || (named.length > 0 && named.every(name => name.startsWith('type '))) }
  })
}

/** Modules of the core that one needs when it runs; those it needs for types alone are free. */
function imports(module: string): string[] {
  return allImports(module)
    .filter(({ from, typeOnly }) => from.startsWith('./') && !typeOnly)
    .map(({ from }) => from.slice('./'.length, -'.ts'.length))
}

test('finds what a module imports', () => {
  assert.deepEqual(imports('errors'), [])
  assert.ok(imports('index').includes('proxy'))
  assert.ok(!imports('index').includes('options'), 'index re-exports types alone from options')
  assert.ok(imports('proxy').length > 8)
})

test('gives every module of the core a layer', () => {
  assert.deepEqual(LAYERS.flat().toSorted(), modules.toSorted())
})

test('imports from lower layers only', () => {
  for (const module of modules) {
    for (const imported of imports(module)) {
      const [from, to] = [layerOf(module), layerOf(imported)]
      assert.ok(to < from, `${module} (layer ${from}) imports ${imported} (layer ${to})`)
    }
  }
})

test('imports nothing of a framework, not even its types; of the offloaded pump, which may be absent, nothing but those', () => {
  for (const module of modules) {
    const packages = allImports(module).flatMap(({ from, typeOnly }) =>
      from.startsWith('./') || (from === '@ws-tunnel/native' && typeOnly) ? [] : [from],
    )
    const known = /^(?:node:.*|http-proxy-middleware|path-to-regexp|proxy-addr)$/
    assert.deepEqual(
      packages.filter(name => !known.test(name)),
      [],
      module,
    )
  }
})
