import type { RewriteCondition } from '../rules/apply-rewrite.ts'
import { Expansion } from '../rules/expansion.ts'
import type { Directive } from '../syntax/parser.ts'
import { Words } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers, isInServer } from './directive-kit.ts'
import { readCondition } from './rewrite-condition.ts'
import { readRule } from './rewrite-rule.ts'

const IN_SECTION = 'rules in a section match file names, which is not supported'

/** Directives of mod_rewrite. */
export const REWRITE_DIRECTIVES: Handlers = {
  rewriteengine: flag((on, context, directive) => {
    if (on && !isInServer(context)) context.report.refuse(directive, IN_SECTION)
  }),
  rewritecond: whereEngineIsOn((directive, context) => {
    context.server.conditions.push(readCondition(directive, context) ?? NEVER)
  }),
  rewriterule: whereEngineIsOn((directive, context) => {
    const rule = readRule(directive, context.server.conditions.splice(0), context)
    if (rule !== undefined) context.server.rules.push(rule)
  }),
}

/** Replaces a condition that is wrong or left out. If nothing replaced it, the rule would apply to more requests. */
const NEVER: RewriteCondition = { subject: Expansion.none, test: () => null, captures: false, or: false }

/** Whether the rules among these lines run: the last RewriteEngine counts, also for the rules before it. */
export function isEngineOn(list: readonly Directive[]): boolean {
  const last = list.findLast(({ key }) => key === 'rewriteengine')
  return last !== undefined && /^on$/i.test(new Words(last.args).next())
}

function whereEngineIsOn(handler: Handler): Handler {
  return (directive, context: Context) => {
    if (!context.server.rewrites) context.report.ignore(directive, 'RewriteEngine is off')
    else if (isInServer(context)) handler(directive, context)
    else context.report.refuse(directive, IN_SECTION)
  }
}
