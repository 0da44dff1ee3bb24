import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from './markdown.ts'

const source = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

test('docs/flow.md names only modules that exist', () => {
  const named = Array.from(source('docs/flow.md').matchAll(/\b([a-z-]+\.ts)\b/g), match => match[1] as string)
  const files = new Set(globSync('packages/core/src/**/*.ts', { cwd: ROOT }).map(file => basename(file)))
  assert.ok(named.length > 10, named.join())
  assert.deepEqual(
    named.filter(name => !files.has(name)),
    [],
  )
})

/** What a package imports of the project's packages. */
function importedOf(name: string): string[] {
  const packages = globSync(`packages/${name}/src/**/*.ts`, { cwd: ROOT }).flatMap(file =>
    Array.from(source(file).matchAll(/^(?:import|export)\b[^'";]*\sfrom\s+'(@ws-tunnel[^']*)'/gm), match => match[1]),
  )
  return [...new Set(packages as string[])]
}

test('the adapters and the manager import nothing of the core but its public names', () => {
  for (const name of ['express', 'fastify', 'manager']) {
    assert.deepEqual(importedOf(name), ['@ws-tunnel/core'], name)
  }
})

test('the engine for plain HTTP imports nothing of the core but its public names and what engines need', () => {
  const names = ['@ws-tunnel/core', '@ws-tunnel/core/engine']
  assert.deepEqual(importedOf('http-proxy-middleware').sort(), names)
})
