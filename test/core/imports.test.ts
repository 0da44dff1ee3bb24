import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const SRC = new URL('../../packages/core/src/', import.meta.url)

const modules = readdirSync(SRC).map(name => name.replace(/\.ts$/, ''))
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

test('finds what a module imports, and whether it is only types', () => {
  assert.deepEqual(allImports('errors'), [])
  assert.ok(allImports('index').some(({ from, typeOnly }) => from === './proxy.ts' && !typeOnly))
  assert.ok(allImports('index').some(({ from, typeOnly }) => from === './options.ts' && typeOnly))
})

test('imports nothing of a framework, not even its types; of the offloaded pump, which may be absent, nothing but those', () => {
  for (const module of modules) {
    const packages = allImports(module).flatMap(({ from, typeOnly }) =>
      from.startsWith('./') || (from === '@ws-tunnel/native' && typeOnly) ? [] : [from],
    )
    const known = /^(?:node:.*|fastest-levenshtein|http-proxy-middleware|path-to-regexp|proxy-addr)$/
    assert.deepEqual(
      packages.filter(name => !known.test(name)),
      [],
      module,
    )
  }
})
