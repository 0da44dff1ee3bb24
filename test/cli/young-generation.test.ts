import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const MODULE = new URL('../../packages/cli/src/young-generation.ts', import.meta.url).href

/** Allocates objects, many of which survive, and prints the MiB of V8's young generation. */
const GROW = `
  import { getHeapSpaceStatistics } from 'node:v8'
  let kept = []
  for (let i = 0; i < 1_500_000; i++) {
    kept.push({ i, list: [i] })
    if (kept.length > 300_000) kept = []
  }
  const { space_size: size } = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  console.log(size / 1_048_576)
`

/** The size after the young generation had reason to grow. */
function grown(before: string, ...flags: string[]): number {
  const { NODE_OPTIONS: _, ...env } = process.env
  const args = ['--disable-warning=ExperimentalWarning', ...flags, '--input-type=module', '-e', before + GROW]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  assert.equal(stderr, '')
  return Number(stdout)
}

const LIMITED = `import { limitYoungGeneration } from ${JSON.stringify(MODULE)}; limitYoungGeneration();`

test('keeps the young generation at two semi-spaces of 4 MiB', () => {
  assert.ok(grown('') > 9)
  // On a busy machine a collection may come late, so the least of a few processes counts.
  const size = Math.min(grown(LIMITED), grown(LIMITED), grown(LIMITED))
  assert.ok(size > 4 && size <= 9, `${size} MiB`)
})

test('leaves the young generation alone if the process was started with a size', () => {
  assert.ok(grown(LIMITED, '--max-semi-space-size=16') > 9)
})
