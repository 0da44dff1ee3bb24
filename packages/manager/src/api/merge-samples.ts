import type { Sample } from '../page/types.ts'

type Measure = Exclude<keyof Sample, 'time' | 'members' | 'p50' | 'p99'>

/**
 * One sample in place of several: the mean of each rate, the median of `p50` and the highest `p99`. It has no rates of
 * members. An empty list has none.
 */
export function mergeSamples(samples: readonly Sample[]): Sample[] {
  const last = samples.at(-1)
  if (last === undefined) return []
  const mean = (measure: Measure): number =>
    Math.round((samples.reduce((sum, sample) => sum + sample[measure], 0) / samples.length) * 100) / 100
  const medians = samples.flatMap(({ p50 }) => p50 ?? []).sort((a, b) => a - b)
  const highest = samples.flatMap(({ p99 }) => p99 ?? [])
  return [
    {
      time: last.time,
      open: mean('open'),
      opened: mean('opened'),
      failed: mean('failed'),
      failovers: mean('failovers'),
      p50: medians[Math.floor(medians.length / 2)] ?? null,
      p99: highest.length === 0 ? null : Math.max(...highest),
      fromClient: mean('fromClient'),
      fromBackend: mean('fromBackend'),
      members: {},
    },
  ]
}
