import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path/posix'
import { suite, test } from 'node:test'
import { ROOT } from './markdown.ts'

interface House {
  readonly package: string
  /** The wings and root modules from the highest to the lowest row. An import goes to its own wing or to a lower row. */
  readonly rows: readonly (readonly string[])[]
  /** Packages that any module may import. */
  readonly packages: RegExp
  /** Packages of which a module may import the types alone. */
  readonly typesOf?: RegExp
}

const HOUSES: readonly House[] = [
  {
    package: 'core',
    rows: [
      ['index', 'engine'],
      ['handover'],
      ['proxy'],
      ['routing'],
      ['balancer'],
      ['client', 'backend'],
      ['options'],
      ['tunnel', 'http'],
      ['util'],
      ['errors'],
    ],
    packages:
      /^(?:node:.*|@eslint-community\/regexpp|fastest-levenshtein|path-to-regexp|proxy-addr|undici(?:\/lib\/.*)?)$/,
    typesOf: /^@ws-tunnel\/native$/,
  },
  {
    package: 'httpd-conf',
    rows: [['index'], ['compile'], ['directives'], ['rules'], ['patterns'], ['syntax'], ['diagnostics']],
    packages: /^(?:node:.*|@eslint-community\/regexpp|@ws-tunnel\/core|apache-md5|bcryptjs)$/,
  },
  {
    package: 'cli',
    rows: [
      ['main'],
      ['run-command-line', 'young-generation'],
      ['commands'],
      ['process'],
      ['gateway'],
      ['configuration'],
      ['logs'],
      ['errors'],
    ],
    packages:
      /^(?:node:.*|@ws-tunnel\/(?:core|httpd-conf|native|manager(?:\/(?:cluster|metrics))?)|commander|pino|prom-client)$/,
  },
  {
    package: 'manager',
    rows: [['index', 'fastify'], ['manager'], ['options'], ['api', 'metrics'], ['fleet', 'http'], ['util'], ['page']],
    // The page imports lit-html and uPlot by relative paths, because the browser gets them from the manager.
    packages: /^(?:node:.*|@ws-tunnel\/core|fastify|prom-client|redis|uplot|page\/(?:lit-html\/.*|uplot\.js))$/,
  },
]

interface Import {
  /** A module of the package, such as `http/path.ts`, or another package. */
  readonly from: string
  /** Whether it imports types alone, so that nothing of it is left at run time. */
  readonly typeOnly: boolean
}

function importsOf(folder: string, module: string): Import[] {
  const source = readFileSync(join(folder, module), 'utf8')
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

const wingOf = (module: string): string => module.split(/[/.]/, 1)[0] as string

for (const { package: name, rows, packages, typesOf } of HOUSES) {
  const folder = join(ROOT, 'packages', name, 'src')
  const modules = globSync('**/*.ts', { cwd: folder }).filter(module => !module.endsWith('.d.ts'))
  const imports = new Map(modules.map(module => [module, importsOf(folder, module)]))
  const rowOf = (module: string): number => rows.findIndex(row => row.includes(wingOf(module)))
  const internal = (module: string): string[] =>
    (imports.get(module) ?? []).map(({ from }) => from).filter(from => imports.has(from))

  suite(`the wings of packages/${name}`, () => {
    test('every import statement is found', () => {
      assert.ok(modules.length > 20, `${modules.length} modules`)
      for (const [module, found] of imports) {
        const unknown = found.filter(({ from }) => from.endsWith('.ts') && !imports.has(from))
        assert.deepEqual(unknown, [], module)
        const source = readFileSync(join(folder, module), 'utf8')
        const lines = source.match(/^(?:import .*|\} from .*|export .* from .*)'$/gm) ?? []
        assert.equal(found.length, lines.length, module)
      }
    })

    test('imports point down and never sideways, types included', () => {
      const wrong: string[] = []
      for (const module of modules) {
        assert.notEqual(rowOf(module), -1, `${module} is in no wing`)
        for (const from of internal(module))
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
        for (const from of internal(module)) visit(from, [...path, module])
        done.add(module)
      }
      for (const module of modules) visit(module, [])
      assert.deepEqual(circles, [])
    })

    test('only known packages are imported', () => {
      for (const [module, found] of imports) {
        const others = found.filter(({ from }) => !imports.has(from) && !packages.test(from))
        const unknown = others.filter(({ from, typeOnly }) => !(typeOnly && typesOf?.test(from)))
        assert.deepEqual(unknown, [], module)
      }
    })
  })
}
