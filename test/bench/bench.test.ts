import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { hasOpenSsl } from '../../bench/load.ts'
import { ROOT } from '../docs/markdown.ts'
import { peer } from '../support/peers.ts'

const bench = (...args: string[]): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, [join(ROOT, 'bench/main.ts'), ...args])

const gcc = peer('gcc', () => execFileSync('gcc', ['--version']).length > 0)

test('the benchmark measures the workloads and contestants of --only and prints their table', gcc, async () => {
  const { stdout } = await bench('--quick', '--only', 'tunnels-50,ws-tunnel,pipe()')
  const rows = stdout.split('\n').filter(line => line.startsWith('| ') && !/^\| +\||---/.test(line))
  assert.equal(rows.length, 2, stdout)
  for (const [i, name] of ['**ws-tunnel**', 'pipe()'].entries()) {
    const [, row, figure, , ratio, rate] = (rows[i] as string).split('|').map(cell => cell.trim())
    assert.ok(row?.startsWith(name) && !/ \(/.test(row), stdout)
    for (const cell of [figure, ratio, rate]) assert.match(cell as string, /^[\d,.]+$/, stdout)
  }
})

const openSsl = peer('libssl-dev', () => hasOpenSsl())

test('TLS in front, to the backend and at both ends has rows', openSsl, async () => {
  const rows = ['tls-front-message', 'tls-backend-connect', 'tls-both-echo']
  const { stdout } = await bench('--quick', '--only', [...rows, 'ws-tunnel', 'http-proxy-3'].join(','))
  const figures = Array.from(
    stdout.matchAll(/^\| (?:\*\*ws-tunnel\*\*|http-proxy-3) [\d.]+ \| ([\d,.]+) \|/gm),
    ([, figure]) => figure,
  )
  assert.equal(figures.length, 2 * rows.length, stdout)
})

test('plain HTTP has rows for a warm and a cold process, for garbage, and for bodies both ways', gcc, async () => {
  const { stdout } = await bench('--quick', '--only', 'http,http-post-1m,http-10m,pipe(),ws-tunnel x2')
  const figures = Array.from(
    stdout.matchAll(/^\| (pipe\(\)|ws-tunnel x2)[^|(]*\| ([\d,.]+) \|/gm),
    ([, name, figure]) => ({
      name,
      figure: Number(figure?.replaceAll(',', '')),
    }),
  )
  // The two processes report no garbage, and take part in the first workload alone.
  assert.deepEqual(
    figures.map(({ name }) => name),
    ['ws-tunnel x2', 'pipe()', 'ws-tunnel x2', 'pipe()', 'pipe()', 'pipe()', 'pipe()'],
    stdout,
  )
  assert.ok(
    figures.every(({ figure }) => figure > 1),
    stdout,
  )
})

test('the benchmark refuses an unknown name and lists the known ones', async () => {
  await assert.rejects(bench('--only', 'ping'), /Expected --only to name some of tunnels-1, .*; got ping/)
})

test('--against measures another checkout beside this one and prints their ratios', gcc, async () => {
  for (const [front, only, rows] of [
    ['express', 'tunnels-1', ['JavaScript', 'offloaded']],
    ['fastify', 'tunnels-1,ws-tunnel,baseline', ['JavaScript']],
    ['http', 'http-64k,ws-tunnel offloaded,baseline offloaded', ['offloaded']],
  ] as const) {
    const { stdout } = await bench('--quick', '--only', only, '--against', ROOT, '--front', front)
    const [, comparison = ''] = stdout.split('### This tree against baseline')
    const cells = comparison
      .split('\n')
      .filter(line => /^\| \w/.test(line))
      .map(line => line.split('|').map(cell => cell.trim()))
    assert.deepEqual(
      cells.map(([, title]) => /, (\w+)$/.exec(title as string)?.[1]),
      rows,
      stdout,
    )
    for (const [, , , own, baseline, ratio, median] of cells)
      for (const cell of [own, baseline, ratio, median]) assert.match(cell as string, /^[\d,.]+$/, stdout)
  }
})

test('--against refuses a folder that is not a built checkout', async () => {
  await assert.rejects(bench('--against', join(ROOT, 'docs')), /Expected --against to name a checkout .* got .*docs/)
})
