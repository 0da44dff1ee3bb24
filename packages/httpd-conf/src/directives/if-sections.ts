import { readRequestExpression } from '../rules/request-expression.ts'
import type { RewriteState } from '../rules/rewrite-variables.ts'
import type { Directive } from '../syntax/parser.ts'
import { Words } from '../syntax/words.ts'
import type { Context, Handlers } from './directive-kit.ts'
import { emptyScope, type Scope } from './model.ts'
import { isEngineOn, sectionRules } from './rewrite-directives.ts'

/** `<If>`, `<ElseIf>`, `<Else>`. httpd: ifsection. */
export const IF_SECTIONS: Handlers = {
  '<if': (directive, context) => ifSection(directive, context, 'if'),
  '<elseif': (directive, context) => ifSection(directive, context, 'elseif'),
  '<else': (directive, context) => ifSection(directive, context, 'else'),
}

type Test = (state: RewriteState) => boolean

/** The tests of the sections that an `<ElseIf>` or `<Else>` follows, by the section that they are in. */
const chains = new WeakMap<Scope, Test[]>()

function ifSection(directive: Directive, context: Context, kind: 'if' | 'elseif' | 'else'): undefined {
  const { report, server, scope, section } = context
  const { name, place, args, children = [] } = directive
  if (section === '<Proxy') return report.refuse(directive, `it is not supported in ${section}>`)
  const before = chains.get(scope) ?? []
  if (kind !== 'if' && before.length === 0)
    return report.fail(directive, '<Else> or <ElseIf> section without previous <If> or <ElseIf> section in same scope')
  const test = kind === 'else' ? () => true : readTest(args, directive, context)
  if (test === undefined) return
  const earlier = kind === 'if' ? [] : before
  chains.set(scope, kind === 'else' ? [] : [...earlier, test])
  server.needsPath = true
  // httpd gives these sections a path that no file name begins with. httpd: ifsection.
  const own = { ...emptyScope(), ...sectionRules('*If', children) }
  const { outer } = context
  const location = outer?.location ?? context.location
  const holds: Test = state => outer?.holds(state) !== false && !earlier.some(other => other(state)) && test(state)
  const ifSection = {
    place,
    location,
    depth: outer === undefined ? 0 : outer.depth + 1,
    holds,
    scope: own,
  }
  server.ifs.push(ifSection)
  const rewrites = isEngineOn(children) ?? context.rewrites
  context.read(children, { ...context, rewrites, scope: own, section: name, location: undefined, outer: ifSection })
}

function readTest(args: string, directive: Directive, { report }: Context): Test | undefined {
  const words = new Words(args)
  const text = words.next()
  if (text === '') return report.fail(directive, `${directive.name}> directive requires additional arguments`)
  const expression = readRequestExpression(words.done ? text : args.trim())
  if ('problem' in expression) return report.refuse(directive, expression.problem)
  return state => expression(state) !== null
}
