import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { machineFiles } from '../../../packages/httpd-conf/src/syntax/files.ts'

test('reads and finds the files of the machine, those of a folder sorted', t => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-files-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'sub'))
  for (const name of ['b.conf', 'a.conf', 'sub/c.conf']) writeFileSync(join(folder, name), name)
  const { read, find, exists } = machineFiles
  const at = (...names: string[]): string[] => names.map(name => join(folder, name))
  assert.deepEqual(find(folder), at('a.conf', 'b.conf', 'sub/c.conf'))
  assert.deepEqual(find(join(folder, '*.conf')), at('a.conf', 'b.conf'))
  assert.deepEqual(find(join(folder, 'none.conf')), [])
  assert.equal(read(join(folder, 'a.conf')), 'a.conf')
  assert.equal(read(join(folder, 'none.conf')), undefined)
  assert.deepEqual([exists(folder), exists(join(folder, 'none'))], [true, false])
})
