import type { RewriteCondition } from '../rules/apply-rewrite.ts'
import { Expansion } from '../rules/expansion.ts'
import { INTERNAL_MAPS, randomMap, readMapFile, textMap } from '../rules/rewrite-maps.ts'
import type { SectionRules } from '../rules/section-rewriting.ts'
import type { Directive } from '../syntax/parser.ts'
import { WatchedFile } from '../syntax/watched-file.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers, isInServer, serverOnly } from './directive-kit.ts'
import type { Scope } from './model.ts'
import { readCondition } from './rewrite-condition.ts'
import { readRule } from './rewrite-rule.ts'

/** Directives of mod_rewrite. */
export const REWRITE_DIRECTIVES: Handlers = {
  rewriteengine: flag((_, context, directive) => {
    if (!isInServer(context) && context.scope.rewriting === undefined) refuse(directive, context)
  }),
  rewriteoptions: options,
  rewritebase: (directive, context) => {
    const { scope, report } = context
    const base = new Words(directive.args).next()
    if (!base.startsWith('/')) report.fail(directive, 'RewriteBase: argument is not a valid URL', { at: base })
    else if (scope.rewriting === undefined)
      report.fail(directive, 'RewriteBase: only valid in per-directory config files')
    else scope.rewriting = { ...scope.rewriting, base: base.endsWith('/') ? base : `${base}/` }
  },
  rewritemap: serverOnly(map),
  rewritecond: whereEngineIsOn((directive, context) => {
    conditionsOf(context).push(readCondition(directive, context) ?? NEVER)
  }),
  rewriterule: whereEngineIsOn((directive, context) => {
    const rule = readRule(directive, conditionsOf(context).splice(0), context)
    if (rule === undefined) return
    const rules = isInServer(context) ? context.server.rules : (context.scope.rewriting as SectionRules).rules
    rules.push(rule)
  }),
}

/** Replaces a condition that is wrong or left out. If nothing replaced it, the rule would apply to more requests. */
const NEVER: RewriteCondition = { subject: Expansion.none, test: () => null, captures: false, or: false }

/** The conditions before the next rule of a section. */
const pending = new WeakMap<Scope, RewriteCondition[]>()

function conditionsOf(context: Context): RewriteCondition[] {
  if (isInServer(context)) return context.server.conditions
  const conditions = pending.get(context.scope) ?? []
  pending.set(context.scope, conditions)
  return conditions
}

const NAME = /^rewrite/

/** Whether a directive of mod_rewrite is among these lines, or in a section of them. */
export const hasRewriting = (list: readonly Directive[]): boolean =>
  list.some(({ key, children }) => NAME.test(key) || (key !== '<virtualhost' && hasRewriting(children ?? [])))

/** Whether a section of requests has rules. */
export const hasSectionRules = (list: readonly Directive[]): boolean =>
  list.some(
    ({ key, children = [] }) =>
      (/^<(?:location|directory|proxy|if|else)/.test(key) && hasRewriting(children)) ||
      (key === '<virtualhost' && hasSectionRules(children)),
  )

/** The rules of a section, to be filled; nothing if it has no directive of mod_rewrite itself. httpd: config_perdir_create. */
export function sectionRules(directory: string, children: readonly Directive[]): Pick<Scope, 'rewriting'> {
  if (!children.some(({ key }) => NAME.test(key))) return {}
  return {
    rewriting: {
      engine: isEngineOn(children),
      directory: directory.endsWith('/') ? directory : `${directory}/`,
      base: undefined,
      rules: [],
    },
  }
}

/**
 * Whether the rules among these lines run: the last RewriteEngine counts, also for the rules before it. `undefined` without
 * such a line.
 */
export function isEngineOn(list: readonly Directive[]): boolean | undefined {
  const last = list.findLast(({ key }) => key === 'rewriteengine')
  return last && /^on$/i.test(new Words(last.args).next())
}

function whereEngineIsOn(handler: Handler): Handler {
  return (directive, context: Context) => {
    if (!isInServer(context) && context.scope.rewriting === undefined) refuse(directive, context)
    else if (!context.rewrites) context.report.ignore(directive, 'RewriteEngine is off')
    else handler(directive, context)
  }
}

const refuse = (directive: Directive, { section, report }: Context): undefined =>
  report.refuse(directive, `rules in ${section}> are not supported`, {
    expected: 'rules in a Location or in the server',
  })

const OPTIONS = `inherit inheritbefore inheritdown inheritdownbefore ignoreinherit ignorecontextinfo legacyprefixdocroot
  allownoslash allowanyuri mergebase longurloptimization`.split(/\s+/)

/** httpd: cmd_rewriteoptions. */
function options(directive: Directive, context: Context): void {
  const { report, server } = context
  for (const word of splitWords(directive.args)) {
    const option = word.toLowerCase()
    if (!OPTIONS.includes(option)) report.fail(directive, `RewriteOptions: unknown option '${word}'`, { at: word })
    else if (isInServer(context)) {
      if (option === 'allowanyuri')
        report.refuse(directive, 'a request target that is not a path has no rules', { at: word })
      server.rewriteOptions.add(option)
    } else if (/^(?:inherit|mergebase)/.test(option))
      report.refuse(directive, 'a section with rules always replaces those of other sections', { at: word })
  }
}

/** httpd: cmd_rewritemap. */
function map(directive: Directive, { report, server, files, absolute }: Context): undefined {
  const [name = '', source = ''] = splitWords(directive.args)
  const [, kind = 'txt', rest = ''] = /^(?:(txt|rnd|int|prg|dbm|dbd|fastdbd)(?:=[a-z]+)?:)?(.*)$/is.exec(source) ?? []
  if (rest === '')
    return report.fail(directive, 'RewriteMap takes two or three arguments, a mapname and a filename and options')
  const lower = kind.toLowerCase()
  if (lower === 'int') {
    const internal = Object.hasOwn(INTERNAL_MAPS, rest) ? INTERNAL_MAPS[rest] : undefined
    if (internal === undefined)
      return report.fail(directive, `RewriteMap: internal map not found:${rest}`, { at: rest })
    server.maps.set(name, internal)
    return
  }
  if (lower !== 'txt' && lower !== 'rnd')
    return report.refuse(directive, `maps of the kind ${kind} are not supported`, {
      at: source,
      expected: 'txt:, rnd: or int:',
    })
  const path = absolute(rest)
  const file = new WatchedFile(files, path, readMapFile)
  if (file.read() === undefined)
    return report.fail(directive, `RewriteMap: file for map ${name} not found:${path}`, { at: rest })
  server.maps.set(name, lower === 'txt' ? textMap(file) : randomMap(file))
}
