import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** MiB of each of the two semi-spaces of V8's young generation. */
const SEMI_SPACE = 4

/** With arrays of this many semi-spaces that stay alive, V8 grows the young generation once, and not twice. */
const SURVIVORS = 3

/** ms between two looks. Node 22 makes the young generation of an idle process small again. */
const INTERVAL = 10_000

const MIB = 1_048_576

/**
 * Keeps V8's young generation at the size that `--max-semi-space-size=4` gives it. It would grow to 32 to 128 MiB while
 * thousands of tunnels are opened, and keep that size. V8 reads that flag only when the process starts. It reads the factor
 * of growth at each growth, so the young generation is made to grow once, by the whole difference, and then no more.
 *
 * To be called before other modules run, because the young generation cannot be made smaller. Does nothing if the process
 * was started with a size.
 */
export function limitYoungGeneration(): void {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ')
  if (/semi[-_]space/.test(given)) return
  growIfSmall()
  setInterval(growIfSmall, INTERVAL).unref()
}

function growIfSmall(): void {
  const size = semiSpace()
  if (size < SEMI_SPACE) {
    setFlagsFromString(`--semi-space-growth-factor=${SEMI_SPACE / size}`)
    const survivors: unknown[] = []
    while (survivors.length < SURVIVORS * size * 64) survivors.push(new Array(MIB / 64 / 8).fill(0))
  }
  setFlagsFromString('--semi-space-growth-factor=1')
}

/** MiB of a semi-space: 1, 2, 4 and so on. Its pages have headers, so objects have a little less. */
function semiSpace(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  if (space === undefined) return SEMI_SPACE
  return 2 ** Math.round(Math.log2(Math.max(MIB, space.space_used_size + space.space_available_size) / MIB))
}
