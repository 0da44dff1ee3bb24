import type { IncomingMessage } from 'node:http'
import { type Guard, type HeaderEditing, type Rewrite, type RewrittenUrl, WsTunnelError } from '@ws-tunnel/core'
import { type Scope, sectionsOf } from '../directives/model.ts'
import { checkAccess } from '../rules/access.ts'
import { applyRules, type Note, type RewriteOutcome, type RewriteRule } from '../rules/apply-rewrite.ts'
import { type Environment, environmentOf, keepEnvironment } from '../rules/environment.ts'
import { type RedirectResponse, redirectOf } from '../rules/redirects.ts'
import { endAuthentication } from '../rules/remote-user.ts'
import { keepDocumentRoot, useCanonicalName } from '../rules/request.ts'
import { keepPath } from '../rules/request-path.ts'
import type { RewriteState } from '../rules/rewrite-variables.ts'
import type { RouteContext } from './context.ts'
import { applyEarlyEdits, localEditing, setsCookies } from './header-editing.ts'
import { compileProxiedUrl } from './proxied-url.ts'
import { routeName } from './routes.ts'
import { compileWalk } from './sections-walk.ts'

/** What the rules and the sections of a server make of a request, before routes are matched. */
export interface Decision {
  /** The path and the query before the phases. */
  readonly path: string
  readonly query: string
  /** The result of the rules: those of the server, or those of a section. */
  readonly outcome: RewriteOutcome
  /** The response of a Redirect. */
  readonly redirect: RedirectResponse | undefined
  /** The settings of the sections that the request is in; several after an internal redirect. */
  readonly sections: readonly Checked[]
  /** Those whose access control applies: a response of the server itself comes before it. */
  readonly checks: readonly Checked[]
}

interface Checked {
  readonly scope: Scope
  /** The request as the access control sees it, before the rules of sections. */
  readonly state: RewriteState
}

/** The phases of httpd before its handlers. */
export interface Phases {
  readonly rewrite: Rewrite
  readonly guard: Guard | undefined
  readonly decisionOf: (req: IncomingMessage) => Decision | undefined
  readonly scopeOf: (req: IncomingMessage) => Scope
}

/** The most internal redirects of one request. httpd: LimitInternalRecursion. */
const MAX_REDIRECTS = 10

/** The document root of Debian's httpd, for a configuration without one. */
const DOCUMENT_ROOT = '/var/www/html'

const KEYS = ['access', 'rewriting', 'followsLinks'] as const

/** Whether a request has to pass the phases before it is matched. */
export function needsPhases({ server }: RouteContext): boolean {
  const scopes = sectionsOf(server).map(({ scope }) => scope)
  return (
    (server.rewrites === true && server.rules.length > 0) ||
    server.needsPath === true ||
    server.canonicalName === true ||
    server.scope.access !== undefined ||
    server.ifs.length > 0 ||
    server.scope.redirects.length > 0 ||
    scopes.some(
      scope =>
        scope.redirects.length > 0 ||
        scope.responseEdits.some(({ always }) => always) ||
        KEYS.some(key => scope[key] !== undefined),
    )
  )
}

/**
 * Compiles the phases of a request in httpd's order: rules of the server, sections, access control, rules of sections,
 * redirects of sections. httpd: ap_process_request_internal.
 */
export function compilePhases(context: RouteContext): Phases {
  const { server } = context
  const decisions = new WeakMap<IncomingMessage, Decision>()
  const walk = compileWalk(server)
  const proxiedUrl = compileProxiedUrl(context)
  const rules = server.rewrites ? server.rules : []
  const { envRules } = server.scope
  const earlyEdits = server.scope.requestEdits.filter(edit => edit.early)
  const keeps = server.encodedSlashes === 'keep'
  const canonical = { name: context.serverName.toLowerCase(), port: server.serverPort }

  /** One round of the phases: the request, or one that an internal redirect of a section makes of it. */
  const round = (req: IncomingMessage, path: string, query: string, isEnded: boolean, note: Note): Round => {
    const env = environmentOf(req, envRules)
    const own: RewriteOutcome =
      rules.length === 0 || isEnded
        ? { kind: 'unchanged', env }
        : applyRules(rules, { req, path, query, env }, keeps, note)
    keepEnvironment(req, envRules, own.env)
    const uri = own.kind === 'passed' ? own.path : path
    const search = own.kind === 'passed' || own.kind === 'proxied' || own.kind === 'file' ? own.query : query
    const args = search === '' ? undefined : search.slice(1)
    keepPath(req, { path: uri, args, before: path })
    const state: RewriteState = { req, uri, filename: uri, args, env: own.env }
    const line = own.kind === 'passed' || own.kind === 'unchanged' ? proxiedUrl(state) : undefined
    const backend = own.kind === 'proxied' ? own.url : line?.url
    // httpd: ap_directory_walk, which merges slashes.
    const file = (rootOf(context) + (own.kind === 'file' ? own.path : uri)).replace(/\/+/g, '/')
    // `keep` leaves `%25` in the path, so that `%252F` does not become `%2F`. A section names the character: `<Location "/pct%">`.
    const seen = keeps ? uri.replaceAll('%25', '%') : uri
    const isFree = backend === undefined && own.kind !== 'file' && own.kind !== 'responded'
    // httpd: translate_alias_redir comes after proxy_trans, and before access control.
    const early = isFree ? redirectOf(server.scope.redirects, state) : undefined
    if (own.kind === 'responded' || early !== undefined) {
      // The sections are those of the path before the rules.
      const given = query === '' ? undefined : query.slice(1)
      keepPath(req, { path, args: given, before: path })
      const scope = walk({ ...state, uri: path, filename: path, args: given }, undefined, rootOf(context) + path)
      return { state, scope, own, section: undefined, redirect: early, isChecked: false }
    }
    const scope = walk(keeps ? { ...state, uri: seen, filename: seen } : state, backend, file)
    const checked = scope.access === undefined ? state : { ...state, env: environmentOf(req, scope.envRules) }
    const section =
      own.end === true || isEnded
        ? undefined
        : applySection(scope, state, own.env, backend === undefined ? file : `proxy:${backend}`, line?.nocanon, note)
    const isFinal = section?.kind === 'responded'
    // httpd: proxy_fixup comes before fixup_redir, and refuses a URL with a control character.
    const isRefused = own.kind === 'proxied' && /[\0-\x20\x7f]/.test(own.path)
    const redirect = isFinal || isRefused ? undefined : redirectOf(scope.redirects, state)
    return { state: checked, scope, own, section, redirect, isChecked: true }
  }

  /** Rules of a section. httpd: hook_fixup. */
  const applySection = (
    { rewriting, followsLinks, envRules: inSection }: Scope,
    state: RewriteState,
    before: Environment,
    filename: string,
    nocanon: boolean | undefined,
    note: Note,
  ): RewriteOutcome | undefined => {
    if (rewriting === undefined || !(rewriting.engine ?? server.rewrites) || rewriting.rules.length === 0)
      return undefined
    // httpd forbids rules where Options has no FollowSymLinks.
    if (followsLinks === false)
      return { kind: 'responded', env: before, rule: rewriting.rules[0] as RewriteRule, status: 403 }
    const { req, uri: path, args } = state
    const env = environmentOf(req, inSection)
    keepEnvironment(req, inSection, env)
    const { directory } = rewriting
    // A rule of the folder itself waits for the final slash.
    if (filename === directory.slice(0, -1)) return undefined
    const query = args === undefined ? '' : `?${args}`
    const section = { directory, filename, proxied: filename.startsWith('proxy:'), nocanon }
    const outcome = applyRules(rewriting.rules, { req, path, query, env }, keeps, note, section)
    return outcome.kind === 'file' && outcome.path === filename ? { kind: 'unchanged', env } : outcome
  }

  const decide = (req: IncomingMessage, path: string, query: string, note: Note): Decision => {
    const sections: Checked[] = []
    const checks: Checked[] = []
    let [url, search, isEnded] = [path, query, false]
    for (let redirects = 0; ; redirects++) {
      const { state, scope, own, section, redirect, isChecked } = round(req, url, search, isEnded, note)
      sections.push({ scope, state })
      if (isChecked) checks.push({ scope, state })
      if (redirect !== undefined || section === undefined || section.kind === 'unchanged') {
        const isSame = redirects === 0 || own.kind !== 'unchanged'
        return { path, query, outcome: isSame ? own : passed(state), redirect, sections, checks }
      }
      if (section.kind !== 'file' && section.kind !== 'passed')
        return { path, query, outcome: section, redirect, sections, checks }
      if (redirects >= MAX_REDIRECTS)
        throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `more than ${MAX_REDIRECTS} internal redirects` })
      url = urlOf(section.path, scope, rootOf(context))
      search = section.query
      isEnded = section.end === true
    }
  }

  /** If the rules fail, the response still has the fields of the sections that the request is in. */
  const kept = (req: IncomingMessage, path: string, query: string, note: Note): Decision => {
    try {
      return decide(req, path, query, note)
    } catch (error) {
      const env = environmentOf(req, envRules)
      const state: RewriteState = { req, uri: path, filename: path, args: query.slice(1) || undefined, env }
      const sections = [{ scope: walk(state, undefined, rootOf(context) + path), state }]
      const outcome = { kind: 'unchanged' as const, env }
      decisions.set(req, { path: '', query, outcome, redirect: undefined, sections, checks: sections })
      throw error
    }
  }

  const decisionOf = (req: IncomingMessage): Decision | undefined => decisions.get(req)
  return {
    decisionOf,
    scopeOf: req => decisionOf(req)?.sections.at(-1)?.scope ?? server.scope,
    guard: hasAccess(context) ? req => check(req, decisionOf(req)) : undefined,
    rewrite: (req, { path, query }, note) => {
      // A second match of the same request must not apply the lines again.
      const before = decisions.get(req)
      if (before?.path === path && before.query === query) return rewritten(before)
      keepDocumentRoot(req, rootOf(context))
      if (server.canonicalName) useCanonicalName(req, canonical)
      if (earlyEdits.length > 0) applyEarlyEdits(earlyEdits, req, environmentOf(req, envRules))
      const explain: Note = note === undefined ? () => {} : (rule, text) => note(`${routeName(rule)}: ${text}`)
      const decision = kept(req, path, query, explain)
      decisions.set(req, decision)
      return rewritten(decision)
    },
  }
}

const rewritten = ({ outcome }: Decision): RewrittenUrl | undefined => (outcome.kind === 'passed' ? outcome : undefined)

interface Round extends Checked {
  readonly own: RewriteOutcome
  readonly section: RewriteOutcome | undefined
  readonly redirect: RedirectResponse | undefined
  /** Whether the access control of the sections applies. */
  readonly isChecked: boolean
}

const rootOf = ({ server }: RouteContext): string => server.documentRoot ?? DOCUMENT_ROOT

/** After an internal redirect, the routes see the new path. */
const passed = ({ uri, args, env }: RewriteState): RewriteOutcome => ({
  kind: 'passed',
  env,
  path: uri,
  query: args === undefined ? '' : `?${args}`,
})

/** The path of an internal redirect to a file. httpd: hook_fixup. */
function urlOf(file: string, { rewriting }: Scope, root: string): string {
  const { base, directory = '' } = rewriting ?? {}
  if (base !== undefined && file.startsWith(directory)) return base + file.slice(directory.length)
  return file.startsWith(`${root}/`) ? file.slice(root.length) : file
}

/** Whether a section has access control, or the server has SSLVerifyClient. */
export const hasAccess = ({ server }: Pick<RouteContext, 'server'>): boolean =>
  [server, ...sectionsOf(server)].some(({ scope }) => scope.access !== undefined)

/** @throws {WsTunnelError} as {@link checkAccess} does. */
async function check(req: IncomingMessage, decision: Decision | undefined): Promise<void> {
  for (const { scope, state } of decision?.checks ?? []) {
    if (scope.access !== undefined) await checkAccess(scope.access, state)
  }
  endAuthentication(req)
}

/** `Header always` for responses without a backend, if there is such a line. */
export function localHeadersOf(context: RouteContext, phases: Phases | undefined): HeaderEditing | undefined {
  const { server } = context
  const scopes = [server, ...sectionsOf(server)].map(({ scope }) => scope)
  const has = scopes.some(({ responseEdits }) => responseEdits.some(({ always }) => always))
  if (!has && !setsCookies(server)) return undefined
  return localEditing(phases?.scopeOf ?? (() => server.scope))
}
