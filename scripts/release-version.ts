import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// `pnpm run release:version` in the root of the repository: gives all packages their next version, as the files of .changeset say, and
// CHANGELOG.md a heading for it.

const { status } = spawnSync(process.execPath, ['node_modules/@changesets/cli/bin.js', 'version'], { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
const { version } = JSON.parse(readFileSync(join('packages', 'core', 'package.json'), 'utf8')) as { version: string }
const changelog = readFileSync('CHANGELOG.md', 'utf8')
if (changelog.includes(`\n## [${version}]`)) {
  console.error('No file in .changeset names a change, so the version is the same.')
  process.exit(1)
}
const date = new Date().toISOString().slice(0, 10)
writeFileSync(
  'CHANGELOG.md',
  changelog.replace('\n## [Unreleased]\n', `\n## [Unreleased]\n\n## [${version}] - ${date}\n`),
)
console.log(`CHANGELOG.md has a heading for ${version}. Read it, commit, and run: pnpm run release:publish`)
