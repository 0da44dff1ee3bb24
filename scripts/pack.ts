import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, realpathSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Packs every package into a folder, after a build.
 *
 * @returns the paths of the tarballs.
 */
export function packAll(folder: string): string[] {
  for (const old of globSync('ws-tunnel-*.tgz', { cwd: folder })) rmSync(join(folder, old))
  mkdirSync(folder, { recursive: true })
  const args = [
    '--yes',
    'pnpm@12.21.0',
    '--recursive',
    '--filter',
    './packages/*',
    'pack',
    '--pack-destination',
    folder,
  ]
  const { status, stdout, stderr } = spawnSync('npx', args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`pnpm pack failed: ${stdout}${stderr}`)
  return globSync('ws-tunnel-*.tgz', { cwd: folder })
    .sort()
    .map(file => join(folder, file))
}

// `pnpm run pack [folder]`: packs, and prints the command that installs the packages in any folder.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(root, '.cache', 'packed'))
  for (const tarball of packAll(folder)) console.log(tarball)
  console.log(`\nTo install all packages in another folder:\n\n  npm install ${join(folder, 'ws-tunnel-*.tgz')}\n`)
}
