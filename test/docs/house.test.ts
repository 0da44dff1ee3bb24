import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './markdown.ts'

const source = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** What a module imports at run time. */
function imports(file: string): string[] {
  const statements = source(file).matchAll(/^(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)
  return Array.from(statements, match => match[1] as string)
}

test('imports of the core point to a lower layer of the table in CONTRIBUTING.md, which has every module once', () => {
  const layers = new Map<string, number>()
  for (const [, layer, modules] of source('CONTRIBUTING.md').matchAll(/^\| (\d) \| (.*) \|$/gm)) {
    for (const [, name] of (modules as string).split(':')[0]?.matchAll(/`([a-z-]+)`/g) ?? []) {
      assert.ok(!layers.has(name as string), `${name} stands twice`)
      layers.set(name as string, Number(layer))
    }
  }
  const files = globSync('packages/core/src/*.ts', { cwd: ROOT })
  assert.deepEqual([...layers.keys()].toSorted(), files.map(file => basename(file, '.ts')).toSorted())

  const upward: string[] = []
  let checked = 0
  for (const file of files) {
    const name = basename(file, '.ts')
    for (const specifier of imports(file)) {
      if (!specifier.startsWith('.')) continue
      checked++
      const imported = basename(specifier, '.ts')
      if ((layers.get(imported) as number) >= (layers.get(name) as number)) upward.push(`${name} -> ${imported}`)
    }
  }
  assert.deepEqual(upward, [])
  assert.ok(checked > 30, `only ${checked} imports found`)
})

test('every module that docs/flow.md speaks of exists', () => {
  const named = Array.from(source('docs/flow.md').matchAll(/\b([a-z-]+\.ts)\b/g), match => match[1] as string)
  const files = new Set(globSync('packages/core/src/*.ts', { cwd: ROOT }).map(file => basename(file)))
  assert.ok(named.length > 10, named.join())
  assert.deepEqual(
    named.filter(name => !files.has(name)),
    [],
  )
})

test('the core knows no framework, and the adapters nothing of the core but its public names', () => {
  const foreign = (file: string): string[] => {
    const all = source(file).matchAll(/^(?:import|export)\b[^'";]*\sfrom\s+'([^']+)'/gm)
    return Array.from(all, match => match[1] as string).filter(name => !/^(?:node:|\.{1,2}\/)/.test(name))
  }
  const core = new Set(globSync('packages/core/src/*.ts', { cwd: ROOT }).flatMap(foreign))
  assert.deepEqual([...core].toSorted(), ['@ws-tunnel/native', 'http-proxy-middleware', 'path-to-regexp', 'proxy-addr'])
  for (const name of ['express', 'fastify', 'manager']) {
    const ours = globSync(`packages/${name}/src/**/*.ts`, { cwd: ROOT }).flatMap(foreign)
    const tunnel = new Set(ours.filter(specifier => specifier.startsWith('@ws-tunnel')))
    assert.deepEqual([...tunnel], ['@ws-tunnel/core'], name)
  }
})
