import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path/posix'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SRC = fileURLToPath(new URL('../../packages/core/src', import.meta.url))

/** The folders (and errors.ts) from the highest to the lowest. A module imports from its own folder and from lower rows only. */
const WINGS = [
  ['proxy'],
  ['routing'],
  ['balancer'],
  ['client', 'backend'],
  ['options'],
  ['tunnel', 'http'],
  ['util'],
  ['errors'],
] as const

interface Import {
  /** A module of the core, such as `http/path.ts`, or a package. */
  from: string
  /** Whether it imports types alone, so that nothing of it is left at run time. */
  typeOnly: boolean
}

function importsOf(module: string): Import[] {
  const source = readFileSync(join(SRC, module), 'utf8')
  const found = source.matchAll(/^(?:import|export)\s+(?:(type\s+)?(\{[^}]*\}|\*|[\w*]+[^'"]*?)\s+from\s+)?'([^']+)'/gm)
  return Array.from(found, ([, type, clause = '', from = '']) => {
    const names = clause.startsWith('{') ? clause.slice(1, -1).split(',') : []
    const named = names.map(name => name.trim()).filter(name => name !== '')
    return {
      from: from.startsWith('.') ? join(module, '..', from) : from,
      typeOnly: type !== undefined || (named.length > 0 && named.every(name => name.startsWith('type '))),
    }
  })
}

const modules = globSync('**/*.ts', { cwd: SRC })
const imports = new Map(modules.map(module => [module, importsOf(module)]))
const wingOf = (module: string): string => module.split(/[/.]/, 1)[0] as string
const rowOf = (module: string): number => WINGS.findIndex(row => (row as readonly string[]).includes(wingOf(module)))
const internalImports = (module: string): string[] =>
  (imports.get(module) ?? []).map(({ from }) => from).filter(from => imports.has(from))

test('finds the imports of a module, and whether they are types alone', () => {
  assert.deepEqual(imports.get('errors.ts'), [])
  const ofIndex = imports.get('index.ts') ?? []
  assert.ok(ofIndex.some(({ from, typeOnly }) => from === 'proxy/proxy.ts' && !typeOnly))
  assert.ok(ofIndex.some(({ from, typeOnly }) => from === 'options/options.ts' && typeOnly))
  assert.ok(modules.length > 50, `${modules.length} modules`)
  for (const [module, found] of imports) {
    const relative = found.filter(({ from }) => from.endsWith('.ts'))
    assert.ok(
      relative.every(({ from }) => imports.has(from)),
      module,
    )
    const lines = readFileSync(join(SRC, module), 'utf8').match(/^(?:import .*|\} from .*|export .* from .*)'$/gm) ?? []
    assert.equal(found.length, lines.length, module)
  }
})

test('imports point down and never sideways, types included', () => {
  const wrong: string[] = []
  for (const module of modules.filter(name => name !== 'index.ts')) {
    assert.notEqual(rowOf(module), -1, `${module} is in no wing`)
    for (const from of internalImports(module))
      if (wingOf(from) !== wingOf(module) && rowOf(from) <= rowOf(module)) wrong.push(`${module} -> ${from}`)
  }
  assert.deepEqual(wrong, [])
})

test('no imports form a circle, types included', () => {
  const circles: string[] = []
  const done = new Set<string>()
  const visit = (module: string, path: readonly string[]): void => {
    if (path.includes(module)) circles.push([...path.slice(path.indexOf(module)), module].join(' -> '))
    if (done.has(module) || path.includes(module)) return
    for (const from of internalImports(module)) visit(from, [...path, module])
    done.add(module)
  }
  for (const module of modules) visit(module, [])
  assert.deepEqual(circles, [])
})

test('imports no framework, not even its types, and of the native package, which may be absent, its types alone', () => {
  const KNOWN = /^(?:node:.*|fastest-levenshtein|http-proxy-middleware|path-to-regexp|proxy-addr|qs)$/
  for (const [module, found] of imports) {
    const packages = found.filter(({ from }) => !imports.has(from) && !KNOWN.test(from))
    const foreign = packages.filter(({ from, typeOnly }) => !(from === '@ws-tunnel/native' && typeOnly))
    assert.deepEqual(foreign, [], module)
  }
})
