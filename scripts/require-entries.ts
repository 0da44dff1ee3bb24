import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

// Part of the build. The packages are ES modules, and every supported Node requires them. But TypeScript with `module: node16` or `node18`
// refuses to require a module whose declarations are in a package of ES modules. So `dist/require` is a folder of CommonJS modules, to which
// the condition `require` of package.json leads: copies of the declarations, and for each entry a module that requires the ES module. So
// both conditions lead to one instance.

const root = fileURLToPath(new URL('..', import.meta.url))

type Conditions = { types: string; default: string; require?: { default: string } }

/** The declarations that an entry consists of: itself, and what it imports of its package. */
function reachable(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found
  found.add(file)
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?['"](\.[^'"]+)\.[jt]s['"]/g)) {
    const imported = join(dirname(file), `${path}.d.ts`)
    if (existsSync(imported)) reachable(imported, found)
  }
  return found
}

for (const manifest of globSync('packages/*/package.json', { cwd: root })) {
  const folder = join(root, dirname(manifest))
  const { exports } = JSON.parse(readFileSync(join(root, manifest), 'utf8')) as { exports: Record<string, Conditions> }
  const entries = Object.values(exports).filter(({ require }) => require !== undefined)
  const to = join(folder, 'dist', 'require')
  rmSync(to, { recursive: true, force: true })
  if (entries.length === 0) continue
  for (const file of new Set(entries.flatMap(({ types }) => [...reachable(join(folder, types))]))) {
    const copy = join(to, relative(join(folder, 'dist'), file))
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(file, copy)
    // The map belongs to the original.
    writeFileSync(copy, readFileSync(copy, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, ''))
  }
  for (const { default: module, require } of entries) {
    const file = join(folder, (require as { default: string }).default)
    const path = relative(dirname(file), join(folder, module))
    writeFileSync(file, `'use strict'\nmodule.exports = require('${path}')\n`)
  }
  writeFileSync(join(to, 'package.json'), '{ "type": "commonjs" }\n')
}
