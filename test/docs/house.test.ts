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

test('the adapters and the manager import nothing of the core but its public names', () => {
  for (const name of ['express', 'fastify', 'manager']) {
    const packages = globSync(`packages/${name}/src/**/*.ts`, { cwd: ROOT }).flatMap(file =>
      Array.from(source(file).matchAll(/^(?:import|export)\b[^'";]*\sfrom\s+'(@ws-tunnel[^']*)'/gm), match => match[1]),
    )
    assert.deepEqual([...new Set(packages)], ['@ws-tunnel/core'], name)
  }
})
