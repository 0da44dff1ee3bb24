import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../docs/markdown.ts'
import { OURS } from './folder.ts'

test('the command that `pnpm run pack` prints installs every package in an empty folder', t => {
  const folders = ['tarballs', 'empty'].map(name => mkdtempSync(join(tmpdir(), `ws-tunnel-${name}-`)))
  t.after(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })
  const [tarballs = '', empty = ''] = folders
  const run = (command: string, args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: empty, encoding: 'utf8' })
    assert.equal(status, 0, stdout + stderr)
    return stdout
  }
  const printed = run(process.execPath, [join(ROOT, 'scripts', 'pack.ts'), tarballs])
  const command = /^ {2}(npm install .+)$/m.exec(printed)?.[1] ?? ''
  run('sh', ['-c', `${command} --no-audit --no-fund`])
  for (const name of OURS.filter(each => each !== 'cli')) {
    assert.equal(
      run(process.execPath, ['--eval', `import('@ws-tunnel/${name}').then(() => console.log('ok'))`]),
      'ok\n',
      name,
    )
    assert.equal(run(process.execPath, ['--eval', `require('@ws-tunnel/${name}'); console.log('ok')`]), 'ok\n', name)
  }
  assert.match(run(process.execPath, ['node_modules/.bin/ws-tunnel', '--version']), /^ws-tunnel \d+\.\d+\.\d+\n$/)
})
