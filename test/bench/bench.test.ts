import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ROOT } from '../docs/markdown.ts'
import { peer } from '../support/peers.ts'

const bench = (...args: string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, [join(ROOT, 'bench/main.ts'), ...args])

const gcc = peer('gcc', () => execFileSync('gcc', ['--version']).length > 0)

test('the benchmark measures what it is told to, and prints a table of it', gcc, async () => {
  const { stdout } = await bench('--quick', '--only', 'tunnels-50,ws-tunnel,pipe()')
  const rows = stdout.split('\n').filter(line => line.startsWith('| ') && !/^\| +\||---/.test(line))
  assert.equal(rows.length, 2, stdout)
  for (const [i, name] of ['**ws-tunnel**', 'pipe()'].entries()) {
    const [, row, figure, , ratio, rate] = (rows[i] as string).split('|').map(cell => cell.trim())
    assert.ok(row?.startsWith(name) && !/ \(/.test(row), stdout)
    for (const cell of [figure, ratio, rate]) assert.match(cell as string, /^[\d,.]+$/, stdout)
  }
})

test('a name that the benchmark does not know is refused with those it knows', async () => {
  await assert.rejects(bench('--only', 'ping'), /Expected --only to name some of tunnels-1, .*; got ping/)
})
