import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Runs the suite on every supported line of Node. The binaries are npm packages without install scripts.
const VERSIONS = ['22.23.3', '24.21.0', '26.10.0']

const root = fileURLToPath(new URL('..', import.meta.url))
const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const patterns = process.argv.slice(2)
const failed: string[] = []

for (const version of VERSIONS) {
  const folder = join(root, '.cache', `node-${version}`)
  const node = join(folder, 'node_modules', platform, 'bin', 'node')
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true })
    const install = spawnSync('npm', ['install', '--no-save', '--prefix', folder, `${platform}@${version}`], {
      stdio: 'inherit',
    })
    if (install.status !== 0) process.exit(install.status ?? 1)
  }
  console.log(`\nNode ${version}`)
  const { status } = spawnSync(
    node,
    ['--disable-warning=ExperimentalWarning', join(root, 'scripts', 'test.ts'), ...patterns],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, PATH: `${join(node, '..')}:${process.env['PATH']}` },
    },
  )
  if (status !== 0) failed.push(version)
}

if (failed.length > 0) {
  console.error(`\nFailed on Node ${failed.join(', ')}`)
  process.exit(1)
}
