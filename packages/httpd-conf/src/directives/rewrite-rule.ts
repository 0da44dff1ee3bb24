import { STATUS_CODES } from 'node:http'
import type { RewriteCondition, RewriteRule } from '../rules/apply-rewrite.ts'
import type { Expansion } from '../rules/expansion.ts'
import { hostNameTest } from '../syntax/host-name.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi } from '../syntax/values.ts'
import { rewriteArguments } from '../syntax/words.ts'
import type { Context } from './directive-kit.ts'
import type { Server } from './model.ts'
import { type Flag, namesUser, readExpansion, readFlags, readPattern, refusesUser } from './rewrite-parts.ts'

/** The names of each flag, the short one first. httpd: cmd_rewriterule_setflag. */
const NAMES = `b backrefescaping,bne,bnp backrefernoplus,bctls,c chain,co cookie,e env,l last,end,f forbidden,g gone,h handler,
  n next,nc nocase,ne noescape,p proxy,pt passthrough,qsa qsappend,qsd qsdiscard,qsl qslast,r redirect,s skip,t type,
  unsafeallow3f,unc,none d dpi discardpath ns nosubreq unsafeprefixstat`

/** The short name of a flag by each of its names. */
const FLAGS: ReadonlyMap<string, string> = new Map(
  NAMES.split(',').flatMap(names => {
    const [flag = '', ...others] = names.trim().split(' ')
    return [flag, ...others].map((name): [string, string] => [name, flag])
  }),
)

/** The flags of a rule by their short names. */
type Flags = ReadonlyMap<string, string | undefined>

/**
 * How often `[N]` starts again with the first rule, at most. httpd allows 32000, which could block the event loop for a
 * second.
 */
const MAX_ROUNDS = 1_000

const ORIGIN = /^(?:unix:[^|]+\|)?(?:wss?|https?|h2c?|balancer):\/\/[^/?]+/i

/** Reads RewriteRule; `undefined` after an error. httpd: cmd_rewriterule. */
export function readRule(
  directive: Directive,
  conditions: readonly RewriteCondition[],
  context: Context,
): RewriteRule | undefined {
  const { report } = context
  const { name, place, args } = directive
  const words = rewriteArguments(args)
  if (words === undefined) return report.fail(directive, `RewriteRule: bad argument line '${args}'`)
  const [pattern, written, field] = words
  const given = readFlags(field)
  if (given === undefined) return report.fail(directive, 'RewriteRule: bad flag delimiters')
  const unknown = given.find(([key]) => !FLAGS.has(key))
  if (unknown !== undefined) return report.fail(directive, `RewriteRule: unknown flag '${unknown[0].toUpperCase()}'`)
  const flags: Flags = new Map(given.map(([key, value]) => [FLAGS.get(key) as string, value]))
  const handler = flags.get('h') ?? 'proxy-server'
  if (handler !== 'proxy-server')
    return report.refuse(directive, `the handler ${handler} is not supported`, { at: handler })
  if (flags.has('t')) report.ignore(directive, 'the flag T has no effect on responses of backends, in httpd too')
  const status = statusOf(flags, directive, report)
  if (status === undefined) return undefined

  const negated = pattern.startsWith('!')
  const regex = readPattern(negated ? pattern.slice(1) : pattern, flags.has('nc'), directive, report)
  const endsInMark = written.endsWith('?')
  const removesQuery = endsInMark ? !flags.has('qsa') : flags.has('qsd') && !written.includes('?')
  const text = endsInMark && removesQuery ? written.slice(0, -1) : written
  const substitutes = written !== '-' && status.final === undefined
  const substitution = substitutes ? readExpansion(text, directive, context) : undefined
  if (regex === undefined || (substitutes && substitution === undefined)) return undefined
  if (substitutes && refusesUser(text, directive, context)) return undefined
  const settings = given.filter(([key]) => FLAGS.get(key) === 'e').map(([, value = '']) => value)
  const readAll = (texts: readonly string[]): Expansion[] =>
    texts.flatMap(each => readExpansion(each, directive, context) ?? [])
  const proxies = flags.has('p') && substitution !== undefined
  const origin = proxies ? ORIGIN.exec(substitution.literalStart)?.[0] : undefined
  if (proxies && (origin === undefined || /[$%]$/.test(origin)))
    return report.refuse(
      directive,
      '[P] needs a ws:, wss:, http:, https:, h2:, h2c: or balancer: URL whose host and port are fixed',
      { at: written },
    )
  const port = /:([^:\]]*)$/.exec(origin?.replace(/^unix:[^|]*\|/i, '').replace(/^\w+:\/\//, '') ?? '')?.[1]
  if (port !== undefined && !/^\d{1,5}$/.test(port))
    return report.refuse(directive, `"${port}" is not a port`, { at: port, expected: 'a port from 1 to 65535' })
  if (proxies && flags.has('pt')) return report.refuse(directive, 'P together with PT is not supported', { at: 'PT' })
  return {
    name,
    place,
    pattern: regex,
    negated,
    conditions,
    isOwn: ownTest(context.server),
    substitution,
    keepsSlashes: flags.has('unc') || text.startsWith('//'),
    origin,
    status: status.final,
    redirect: status.redirect,
    query: {
      append: flags.has('qsa'),
      discard: flags.has('qsd'),
      last: flags.has('qsl') || (endsInMark && flags.has('qsa')),
      none: removesQuery,
    },
    noEscape: flags.has('ne'),
    passThrough: flags.has('pt'),
    last: flags.has('l') || flags.has('end') || flags.has('p'),
    end: flags.has('end'),
    cookies: cookiesOf(given, directive, context),
    chain: flags.has('c'),
    skip: Math.max(0, atoi(flags.get('s') ?? '0')),
    rounds: roundsOf(flags, directive, report),
    environment: readAll(settings),
    ofUser: readAll(settings.filter(namesUser)),
    escaping: escapingOf(flags),
    allowsMark: flags.has('unsafeallow3f'),
  }
}

/** The test of the names and ports of a server. httpd: ap_matches_request_vhost. */
function ownTest(server: Server): RewriteRule['isOwn'] {
  return (host, port, req) => {
    const names = [...(server.serverName === undefined ? [] : [server.serverName]), ...server.names]
    const isOwnPort =
      server.ports.length === 0 ? port === req.socket.localPort : server.ports.some(own => own === 0 || own === port)
    return isOwnPort && names.some(name => hostNameTest(name)(host))
  }
}

/** `[CO=name:value:domain...]` */
const cookiesOf = (flags: readonly Flag[], directive: Directive, context: Context): Expansion[] =>
  flags.flatMap(([key, value]) =>
    FLAGS.get(key) === 'co' ? (readExpansion(value ?? '', directive, context) ?? []) : [],
  )

function roundsOf(flags: Flags, directive: Directive, report: Context['report']): number | undefined {
  if (!flags.has('n')) return undefined
  const rounds = atoi(flags.get('n') ?? String(MAX_ROUNDS))
  if (rounds > MAX_ROUNDS) report.warn(directive, `at most ${MAX_ROUNDS} rounds are made`, { at: `N=${rounds}` })
  return Math.min(rounds, MAX_ROUNDS)
}

function escapingOf(flags: Flags): RewriteRule['escaping'] {
  if (!flags.has('b') && !flags.has('bctls')) return undefined
  return {
    only: flags.get('b') || undefined,
    except: flags.get('bne') ?? '',
    noPlus: flags.has('bnp'),
    controls: flags.has('bctls'),
  }
}

/** Statuses for which Node has a reason phrase and httpd has none. */
const UNKNOWN_TO_HTTPD = [418, 509]

/**
 * The status of `[F]`, `[G]` and `[R]`. `final` ends the rewriting; a later rule may still change the target of
 * `redirect`.
 */
function statusOf(
  flags: Flags,
  directive: Directive,
  report: Context['report'],
): { final: number | undefined; redirect: number | undefined } | undefined {
  if (flags.has('f')) return { final: 403, redirect: undefined }
  if (flags.has('g')) return { final: 410, redirect: undefined }
  if (!flags.has('r')) return { final: undefined, redirect: undefined }
  const value = flags.get('r') ?? ''
  const named: Record<string, number> = { '': 302, permanent: 301, temp: 302, seeother: 303 }
  const status = named[value.toLowerCase()] ?? (/^\d/.test(value) ? atoi(value) : 302)
  if (STATUS_CODES[status] === undefined || UNKNOWN_TO_HTTPD.includes(status))
    return report.fail(directive, `RewriteRule: invalid HTTP response code '${value}' for flag 'R'`)
  if (status < 300) return report.refuse(directive, 'this status is not supported', { at: value })
  return status < 400 ? { final: undefined, redirect: status } : { final: status, redirect: undefined }
}
