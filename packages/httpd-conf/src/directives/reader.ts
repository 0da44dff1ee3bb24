import type { Report } from '../diagnostics.ts'
import { isNear } from '../syntax/near-name.ts'
import type { Directive } from '../syntax/parser.ts'
import type { Compat } from '../syntax/version.ts'
import { ACCESS_DIRECTIVES } from './access-directives.ts'
import { BALANCER_MEMBER } from './balancer-member.ts'
import { CORE_DIRECTIVES } from './core-directives.ts'
import type { Context, Handlers } from './directive-kit.ts'
import { ENVIRONMENT_DIRECTIVES } from './environment-directives.ts'
import { HANDLER_DIRECTIVES } from './handler-directives.ts'
import { HEADER_DIRECTIVES } from './header-directives.ts'
import { HEALTH_DIRECTIVES } from './health-directives.ts'
import { IF_SECTIONS } from './if-sections.ts'
import { emptyServer, type Server, type VirtualHost } from './model.ts'
import { NOT_OURS } from './not-ours.ts'
import { PARTLY_OURS } from './partly-ours.ts'
import { PROXY_PASS } from './proxy-pass.ts'
import { PROXY_SET } from './proxy-set.ts'
import { PROXY_SETTINGS } from './proxy-settings.ts'
import { REDIRECT_DIRECTIVES } from './redirect-directives.ts'
import { hasRewriting, hasSectionRules, isEngineOn, REWRITE_DIRECTIVES } from './rewrite-directives.ts'
import { SECTIONS } from './sections.ts'
import { SERVER_LIMITS } from './server-limits.ts'

/** The main server of a configuration and its virtual hosts. */
export interface Servers {
  readonly main: Server
  readonly hosts: readonly VirtualHost[]
}

const HANDLERS: Handlers = {
  ...SECTIONS,
  ...PROXY_PASS,
  ...PROXY_SETTINGS,
  ...PROXY_SET,
  ...BALANCER_MEMBER,
  ...HEALTH_DIRECTIVES,
  ...CORE_DIRECTIVES,
  ...ACCESS_DIRECTIVES,
  ...REDIRECT_DIRECTIVES,
  ...SERVER_LIMITS,
  ...IF_SECTIONS,
  ...ENVIRONMENT_DIRECTIVES,
  ...HANDLER_DIRECTIVES,
  ...HEADER_DIRECTIVES,
  ...REWRITE_DIRECTIVES,
  ...PARTLY_OURS,
}

/** Directives that a version of httpd does not have, lower-case. */
const MISSING: Partial<Record<Compat, readonly string[]>> = { '2.4.46': ['proxywebsocketfallbacktoproxyhttp'] }

/** What all directives of a configuration have in common. */
export type ReadContext = Pick<Context, 'report' | 'compat' | 'files' | 'absolute'>

/**
 * Reads a tree of directives into servers. Checks every line as httpd does, and reports the lines that are not
 * supported.
 */
export function readServers(tree: readonly Directive[], around: ReadContext): Servers {
  const main = emptyServer()
  const hosts: VirtualHost[] = []
  const engine = isEngineOn(tree)
  if (engine !== undefined) main.rewrites = engine
  main.hasRewriting = hasRewriting(tree)
  const read = (list: readonly Directive[], context: Context): void => {
    for (const directive of list) readDirective(directive, context)
  }
  read(tree, {
    ...around,
    server: main,
    rewrites: main.rewrites ?? false,
    readsDirectories: hasSectionRules(tree),
    scope: main.scope,
    section: '',
    location: undefined,
    proxy: undefined,
    read,
    addHost: host => hosts.push(host),
  })
  return { main, hosts }
}

function readDirective(directive: Directive, context: Context): void {
  const { key } = directive
  const { report, compat } = context
  const handler = Object.hasOwn(HANDLERS, key) && !MISSING[compat]?.includes(key) ? HANDLERS[key] : undefined
  const notOurs = NOT_OURS.get(key)
  // Access control can be left out by name, because a middleware does it.
  if (Object.hasOwn(ACCESS_DIRECTIVES, key) && report.isAllowed(directive))
    report.ignore(directive, 'it is left out (allowed)')
  else if (handler !== undefined) handler(directive, context)
  else if (notOurs === undefined) reportUnknown(directive, report)
  else if (notOurs.kind === 'ignored') report.ignore(directive, notOurs.why)
  else report.refuse(directive, notOurs.why)
}

/** Reports a directive that httpd does not know, with a known one whose name is nearly the same. */
function reportUnknown(directive: Directive, report: Report): void {
  const { key, name } = directive
  const near = [...Object.keys(HANDLERS), ...NOT_OURS.keys()].find(other => other.length > 3 && isNear(other, key))
  report.error(directive, 'no such directive', {
    httpd: `Invalid command '${name}', perhaps misspelled or defined by a module not included in the server configuration`,
    ...(near !== undefined && { expected: `perhaps ${near}` }),
  })
}
