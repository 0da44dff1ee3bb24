import { BASELINE } from './contestants.ts'
import { number, type Results, rows, tableOf } from './report.ts'
import type { Measure } from './workloads.ts'

const PAIRS = [
  { engine: 'JavaScript', ours: 'ws-tunnel', theirs: BASELINE },
  { engine: 'offloaded', ours: 'ws-tunnel offloaded', theirs: `${BASELINE} offloaded` },
]

/**
 * A Markdown table that compares this checkout with the baseline: the least figure of each, and the ratio of this checkout to the
 * baseline. Below 1 this checkout costs less. The ratio of the least figures can hide a difference in a few turns, so the table
 * also has the median and the spread of the ratio within each turn.
 */
export function comparison(measures: readonly Measure[], results: Results): string {
  const lines = measures.flatMap(measure => {
    const all = rows(measure, results)
    return PAIRS.flatMap(({ engine, ours, theirs }) => {
      const [own, other] = [ours, theirs].map(name => all.find(row => row.name === name))
      if (own === undefined || other === undefined) return []
      const errors = [...own.errors, ...other.errors]
      const label = [`${measure.title}, ${engine}`, measure.unit, number(own.figure), number(other.figure)]
      if (own.figure === undefined || other.figure === undefined || errors.length > 0)
        return [[...label, '-', '-', errors.join('; ').replaceAll('|', ' ') || '-']]
      const ratios = turns(measure, ours, results).map(
        (figure, i) => figure / (turns(measure, theirs, results)[i] ?? NaN),
      )
      const sorted = ratios.filter(ratio => Number.isFinite(ratio)).toSorted((a, b) => a - b)
      return [
        [
          ...label,
          fixed(own.figure / other.figure),
          fixed(middle(sorted)),
          `${fixed(sorted[0])} to ${fixed(sorted.at(-1))}`,
        ],
      ]
    })
  })
  const version = results.contestants.find(({ name }) => name === BASELINE)?.version
  const head = ['', 'unit', 'this tree', BASELINE, 'ratio of the least', 'median ratio of turns', 'least to most']
  return `### This tree against ${BASELINE} ${version}\n\n${tableOf(head, lines)}\n`
}

/** The figures of a contestant in the order of its turns. */
const turns = ({ name: measure }: Measure, contestant: string, { samples }: Results): number[] =>
  samples
    .filter(sample => sample.measure === measure && sample.contestant === contestant)
    .map(({ figure }) => figure ?? Number.NaN)

/** The median. It is the mean of the two middle values of an even number. */
const middle = (sorted: readonly number[]): number | undefined => {
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

const fixed = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(3))
