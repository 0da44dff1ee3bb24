import { BASELINE } from './contestants.ts'
import { number, type Results, rows, tableOf } from './report.ts'
import type { Measure } from './workloads.ts'

const PAIRS = [
  { engine: 'JavaScript', ours: 'ws-tunnel', theirs: BASELINE },
  { engine: 'offloaded', ours: 'ws-tunnel offloaded', theirs: `${BASELINE} offloaded` },
]

/**
 * A Markdown table that compares this checkout with the baseline: the least figure of each, and the ratio of this
 * checkout to the baseline. Below 1 this checkout costs less. The ratio of the least figures can hide a difference in
 * some turns. So the table also has the median and the middle half of the ratios of all turns.
 */
export function comparison(measures: readonly Measure[], results: Results): string {
  const lines = measures.flatMap(measure => PAIRS.flatMap(pair => cellsOf(measure, pair, results)))
  const version = results.contestants.find(({ name }) => name === BASELINE)?.version
  const head = ['', 'unit', 'this tree', BASELINE, 'ratio of the least', 'median ratio of turns', 'middle half']
  return `### This tree against ${BASELINE} ${version}\n\n${tableOf(head, lines)}\n`
}

/** The line of a measure and an engine, or none if one of the two did not take part. */
function cellsOf(measure: Measure, { engine, ours, theirs }: (typeof PAIRS)[number], results: Results): string[][] {
  const all = rows(measure, results)
  const [own, other] = [ours, theirs].map(name => all.find(row => row.name === name))
  if (own === undefined || other === undefined) return []
  const label = [`${measure.title}, ${engine}`, measure.unit, number(own.figure), number(other.figure)]
  const errors = [...own.errors, ...other.errors]
  if (own.figure === undefined || other.figure === undefined || errors.length > 0)
    return [[...label, '-', '-', errors.join('; ').replaceAll('|', ' ') || '-']]
  const baseline = turns(measure, theirs, results)
  const ratios = turns(measure, ours, results)
    .map((figure, i) => figure / (baseline[i] ?? Number.NaN))
    .filter(ratio => Number.isFinite(ratio))
    .toSorted((a, b) => a - b)
  const [low, median, high] = [0.25, 0.5, 0.75].map(share => fixed(quantile(ratios, share)))
  return [[...label, fixed(own.figure / other.figure), median as string, `${low} to ${high}`]]
}

/** The figures of a contestant in the order of its turns. */
const turns = ({ name: measure }: Measure, contestant: string, { samples }: Results): number[] =>
  samples
    .filter(sample => sample.measure === measure && sample.contestant === contestant)
    .map(({ figure }) => figure ?? Number.NaN)

/** The quantile of sorted values, interpolated between the two nearest values. */
function quantile(sorted: readonly number[], share: number): number | undefined {
  const at = (sorted.length - 1) * share
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  return low === undefined || high === undefined ? undefined : low + (high - low) * (at - Math.floor(at))
}

const fixed = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(3))
