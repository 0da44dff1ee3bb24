import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { markdownFiles, ROOT, readMarkdown } from './markdown.ts'

const source = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

test('every relative link leads to a file, and every anchor to a heading', () => {
  const files = new Map(markdownFiles().map(markdown => [markdown.file, markdown]))
  const broken: string[] = []
  let checked = 0
  for (const { file, links } of files.values()) {
    for (const link of links) {
      if (/^[a-z]+:/i.test(link)) continue
      checked++
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : normalize(join(dirname(file), path))
      if (!existsSync(join(ROOT, target))) broken.push(`${file}: ${link}: no such file`)
      else if (anchor !== undefined && !files.get(target)?.anchors.has(anchor)) {
        broken.push(`${file}: ${link}: no such heading`)
      }
    }
  }
  assert.deepEqual(broken, [])
  assert.ok(checked > 20, `only ${checked} links found`)
})

test('docs/errors.md has exactly the codes of errors.ts, each with its status', () => {
  const rows = source('packages/core/src/errors.ts').matchAll(/^ {2}(WST_\w+): \[(\d+),/gm)
  const built = Array.from(rows, ([, code, status]) => `${code} ${status}`)
  const documented = readMarkdown('docs/errors.md')
    .sections.filter(({ title }) => title.startsWith('WST_ERR_'))
    .map(({ title, body }) => `${title} ${/Status (\d+)/.exec(body)?.[1]}`)
  assert.deepEqual(documented.toSorted(), built.toSorted())
  assert.ok(built.length > 10)
})

/** The options that users write, with the default that their doc comment gives. */
function options(): { name: string; byDefault: string | undefined }[] {
  const folder = 'packages/core/src/options'
  const text = globSync('*.ts', { cwd: join(ROOT, folder) })
    .map(file => source(join(folder, file)))
    .join('\n')
  const interfaces = text.matchAll(
    /^export interface (?:SharedOptions|RouteDefaults|RouteOptions|CommonOptions)\b[^{]*\{\n(.*?)^\}/gms,
  )
  return Array.from(interfaces, ([, body = '']) => {
    const properties = body.matchAll(/(?: {2}\/\*\*((?:(?!\*\/).)*)\*\/\n)? {2}(\w+)\??: /gs)
    return Array.from(properties, ([, comment = '', name]) => ({
      name: name as string,
      byDefault: /@default ([^:\n]+?)(?::.*)?\s*$/m.exec(comment)?.[1],
    }))
  }).flat()
}

test('every option is explained in the README or in a page of its subject', () => {
  const pages = ['README.md', 'docs/httpd.md', 'docs/balancing.md', 'docs/handover.md', 'docs/shutdown.md']
  const text = pages.map(source).join('')
  const names = options().map(({ name }) => name)
  const missing = names.filter(name => !new RegExp(`\`[^\`\\n]*\\b${name}\\b[^\`\\n]*\``).test(text))
  assert.deepEqual(missing, [])
  assert.ok(names.includes('idleTimeout') && names.includes('drainTimeout') && names.includes('when'), names.join())
})

test('the tables of the README give the same defaults as the doc comments of the options', () => {
  const rows = source('README.md')
    .split('\n')
    .filter(line => line.startsWith('|'))
    .map(line => line.split(/(?<!\\)\|/).map(cell => cell.trim()))
  const wrong: string[] = []
  let checked = 0
  for (const { name, byDefault } of options()) {
    const row = rows.find(cells => cells.slice(1, 3).some(cell => new RegExp(`^\`${name}(?:\\(.*\\))?\``).test(cell)))
    const cell = row?.at(-2)
    if (cell === undefined || byDefault === undefined) continue
    checked++
    const documented = cell === 'all' ? 'undefined' : (/`([^`]+)`/.exec(cell)?.[1] ?? 'undefined')
    if (documented !== byDefault) wrong.push(`${name}: ${documented} instead of ${byDefault}`)
  }
  assert.deepEqual(wrong, [])
  assert.ok(checked > 20, `only ${checked} defaults found`)
})

test('the README links to every file of examples', () => {
  const { links } = readMarkdown('README.md')
  const named = links.filter(link => link.startsWith('examples/'))
  assert.deepEqual([...new Set(named)].toSorted(), globSync('examples/*.ts', { cwd: ROOT }).toSorted())
})

test('every script that a document names exists in package.json', () => {
  const { scripts } = JSON.parse(source('package.json')) as { scripts: Record<string, string> }
  const texts = markdownFiles().map(({ text }) => text)
  const named = texts.flatMap(text => Array.from(text.matchAll(/\bpnpm run ([\w:-]+)/g), match => match[1] as string))
  assert.ok(named.length >= 6, named.join())
  assert.deepEqual(
    named.filter(name => !(name in scripts)),
    [],
  )
})

test('the README has fewer than 250 lines', () => {
  assert.ok(source('README.md').trimEnd().split('\n').length < 250)
})

test('every package contains the licence', () => {
  for (const name of globSync('*', { cwd: join(ROOT, 'packages') })) {
    assert.equal(source(`packages/${name}/LICENSE`), source('LICENSE'), name)
  }
})
