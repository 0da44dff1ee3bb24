import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { ROOT } from '../docs/markdown.ts'

interface Manifest {
  name: string
  version: string
  private?: boolean
  repository?: { url: string; directory: string }
  homepage?: string
  bugs?: string
  keywords?: string[]
}

const manifests = globSync('packages/*/package.json', { cwd: ROOT }).sort()
const read = (file: string, folder = ROOT): Manifest => JSON.parse(readFileSync(join(folder, file), 'utf8'))

function run(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout + stderr
}

suite('a release', () => {
  test('publishes every package and no other, in a dry run', () => {
    const args = ['--yes', 'pnpm@12.21.0', '-r', 'publish', '--dry-run', '--no-git-checks', '--access', 'public']
    const output = run('npx', args, ROOT)
    const published = Array.from(output.matchAll(/(@ws-tunnel\/[\w-]+)@[\d.]+ →/g), ([, name]) => name)
    assert.deepEqual(published.sort(), manifests.map(file => read(file).name).sort())
  })

  test('has packages that say where they come from', () => {
    for (const file of manifests) {
      const { name, repository, homepage = '', bugs = '', keywords = [] } = read(file)
      const folder = file.replace('/package.json', '')
      const [, at = ''] = /^git\+(https:.*)\.git$/.exec(repository?.url ?? '') ?? []
      assert.notEqual(at, '', name)
      assert.equal(repository?.directory, folder, name)
      assert.equal(homepage, `${at}/tree/main/${folder}#readme`, name)
      assert.equal(bugs, `${at}/issues`, name)
      assert.ok(keywords.includes('websocket'), name)
    }
  })

  test('gives all packages one version, and the changelog a heading', t => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-release-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const files = [
      'package.json',
      'pnpm-workspace.yaml',
      'CHANGELOG.md',
      '.changeset/config.json',
      'scripts/release-version.ts',
    ]
    for (const file of [...files, ...manifests]) cpSync(join(ROOT, file), join(folder, file))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    // A change of one package alone.
    writeFileSync(join(folder, '.changeset', 'a.md'), '---\n"@ws-tunnel/core": minor\n---\n\nA change.\n')
    const before = read('packages/core/package.json').version
    run(process.execPath, ['scripts/release-version.ts'], folder)
    const [, major, minor] = /^(\d+)\.(\d+)\./.exec(before) ?? []
    const next = `${major}.${Number(minor) + 1}.0`
    for (const file of manifests) assert.equal(read(file, folder).version, next, file)
    const changelog = readFileSync(join(folder, 'CHANGELOG.md'), 'utf8')
    assert.match(changelog, /^## \[Unreleased\]\n\n## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\n/m)
    assert.ok(changelog.includes(`## [${next}] - `), next)
  })

  test('has a file in .changeset if the changelog has a change', () => {
    const changelog = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')
    const unreleased = changelog.split('\n## ')[1] ?? ''
    const changes = globSync('.changeset/*.md', { cwd: ROOT }).filter(file => !file.endsWith('README.md'))
    assert.equal(changes.length > 0, /^- /m.test(unreleased), changes.join())
  })

  test('documents every exported name, function and method for the API reference, with links that lead somewhere', () => {
    const output = run(
      process.execPath,
      ['node_modules/typedoc/bin/typedoc', '--emit', 'none'],
      join(ROOT, 'scripts', 'api-docs'),
    )
    assert.equal(output, '')
  })

  test('has every entry of the packages in the API reference', () => {
    const { entryPoints } = JSON.parse(readFileSync(join(ROOT, 'scripts/api-docs/typedoc.json'), 'utf8'))
    const entries = manifests.flatMap(file => {
      const { exports } = JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
      const paths = Object.values(exports).map(entry => (entry as { types?: string }).types ?? '')
      return paths.filter(Boolean).map(path => path.replace('./dist/', `../../${file.replace('package.json', 'src/')}`))
    })
    assert.deepEqual(entryPoints.toSorted(), entries.map(entry => entry.replace(/\.d\.ts$/, '.ts')).sort())
  })
})
