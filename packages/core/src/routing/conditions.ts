import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { fieldValue } from '../http/app-fields.ts'
import { bytesToText } from '../http/percent-encoding.ts'
import type { Condition, ConditionGroups } from '../options/route-options.ts'
import { boundedPattern } from '../util/bounded-pattern.ts'

/**
 * Tests conditions. Returns the groups if all conditions hold, else `null`. `onMiss` is called with the index of the
 * condition that does not hold.
 */
export type ConditionTest = (
  req: IncomingMessage,
  url: UrlTexts,
  onMiss?: (index: number) => void,
) => ConditionGroups | null

/** The parts of the request target that conditions test. */
export interface UrlTexts {
  /** Decoded, as routes match it. */
  readonly path: string
  /** As the client wrote it, without `?`. */
  readonly query: string
}

/**
 * Compiles conditions (RewriteCond). They are tested in order, and all must hold. `any` is [OR]; it stops at the first
 * condition that holds. As in httpd, a later condition that captures nothing empties `%1`, and a negated condition keeps
 * the groups.
 */
export function compileConditions(conditions: readonly Condition[]): ConditionTest {
  const tests = conditions.map(compileCondition)
  return (req, url, onMiss) => {
    let groups: ConditionGroups = []
    for (let i = 0; i < tests.length; i++) {
      const found = (tests[i] as ConditionTest)(req, url)
      if (found === null) {
        onMiss?.(i)
        return null
      }
      if (found !== KEEP) groups = found
    }
    return groups
  }
}

/** The result of a condition that holds and keeps the groups of the condition before it. */
const KEEP: ConditionGroups = Object.freeze([])

function compileCondition(condition: Condition): ConditionTest {
  if ('any' in condition) {
    const tests = condition.any.map(compileCondition)
    return (req, url) => {
      for (const test of tests) {
        const found = test(req, url)
        if (found !== null) return found
      }
      return null
    }
  }
  if ('test' in condition) {
    const { test } = condition
    return req => {
      let held: unknown
      try {
        held = test(req)
      } catch (cause) {
        if (cause instanceof WsTunnelError) throw cause
        throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `a condition threw ${String(cause)}`, cause })
      }
      // A promise would always hold.
      if (held instanceof Promise)
        throw new WsTunnelError('WST_ERR_CALLBACK', { detail: 'a condition returned a promise' })
      return held ? KEEP : null
    }
  }
  const textOf = subjectOf(condition)
  const code = 'header' in condition ? 'WST_ERR_FIELD_TOO_LONG' : 'WST_ERR_PATH_TOO_LONG'
  if ('not' in condition) {
    const pattern = boundedPattern(condition.not, code)
    return (req, url) => (pattern.test(textOf(req, url)) ? null : KEEP)
  }
  const pattern = boundedPattern(condition.matches, code)
  return (req, url) => pattern.exec(textOf(req, url))
}

function subjectOf(
  condition: Exclude<Condition, { any: unknown } | { test: unknown }>,
): (req: IncomingMessage, url: UrlTexts) => string {
  if ('header' in condition) return req => bytesToText(fieldValue(req, condition.header))
  return condition.url === 'path' ? (_, { path }) => path : (_, { query }) => bytesToText(query)
}
