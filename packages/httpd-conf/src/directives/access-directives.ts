import type { AccessRules, HostRule, HostRules, Requirement, Verdict } from '../rules/access.ts'
import { addressOf } from '../rules/access.ts'
import { readGroups, readUsers } from '../rules/basic-auth.ts'
import { hasAddress, isInDomain, readNetwork } from '../rules/networks.ts'
import { isSupportedHash } from '../rules/passwords.ts'
import { isTls } from '../rules/request.ts'
import { readRequestExpression } from '../rules/request-expression.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi } from '../syntax/values.ts'
import { WatchedFile } from '../syntax/watched-file.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers, isInServer, take1 } from './directive-kit.ts'

/** Directives of mod_authz_core, mod_authz_host, mod_access_compat, mod_auth_basic, mod_authn_file and mod_ssl. */
export const ACCESS_DIRECTIVES: Handlers = {
  require: inSection((directive, context) => addRequirement(readRequire(directive, context), context)),
  '<requireall': inSection((directive, context) => addSection(directive, context, 'all', false)),
  '<requireany': inSection((directive, context) => addSection(directive, context, 'any', false)),
  '<requirenone': inSection((directive, context) => addSection(directive, context, 'any', true)),
  '<limit': (directive, context) => limited(directive, context, true),
  '<limitexcept': (directive, context) => limited(directive, context, false),
  order: inSection(order),
  allow: inSection((directive, context) => addHostRules(directive, context, 'allow')),
  deny: inSection((directive, context) => addHostRules(directive, context, 'deny')),
  satisfy: inSection(
    take1("access policy if both allow and require used ('all' or 'any')", (value, directive, context) => {
      const satisfy = value.toLowerCase()
      if (satisfy === 'all' || satisfy === 'any') setAccess(context, { satisfy })
      else context.report.fail(directive, "Satisfy either 'any' or 'all'.")
    }),
  ),
  authtype: inSection(
    take1('an HTTP authorization type (e.g., "Basic")', (value, directive, context) => {
      const authType = value.toLowerCase()
      if (authType === 'none') setAccess(context, { authType: undefined })
      else if (authType === 'basic') setAccess(context, { authType })
      else context.report.refuse(directive, `${value} is not supported`, { at: value, expected: 'Basic' })
    }),
  ),
  authname: inSection(
    take1('the authentication realm (e.g. "Members Only")', (authName, _, context) => setAccess(context, { authName })),
  ),
  authuserfile: inSection(
    take1('text file containing user IDs and passwords', (value, directive, context) => {
      const file = context.absolute(value)
      const users = new WatchedFile(context.files, file, readUsers)
      const found = users.read()
      if (found === undefined)
        context.report.warn(directive, `${file} cannot be read: requests that need a user get 500`, { at: value })
      const strange = [...(found ?? [])].find(([, hash]) => !isSupportedHash(hash))
      if (strange !== undefined)
        context.report.warn(directive, `the hash of ${strange[0]} is not supported: this user gets 401`, {
          at: value,
          expected: 'a hash of htpasswd -B, -m or -s',
        })
      setAccess(context, { users })
    }),
  ),
  authgroupfile: inSection(
    take1('text file containing group names and member user IDs', (value, _, context) => {
      const groups = new WatchedFile(context.files, context.absolute(value), readGroups)
      setAccess(context, { groups: user => groups.read()?.get(user) })
    }),
  ),
  authbasicprovider: inSection((directive, { report }) => {
    const other = splitWords(directive.args).find(name => name.toLowerCase() !== 'file')
    if (other !== undefined && !/^(?:anon|dbd|dbm|ldap|socache|file)$/i.test(other))
      report.fail(directive, `Unknown Authn provider: ${other}`, { at: other })
    else if (other !== undefined)
      report.refuse(directive, `the provider ${other} is not supported`, { at: other, expected: 'file' })
  }),
  authbasicauthoritative: inSection(
    flag((on, { report }, directive) => {
      if (!on) report.refuse(directive, 'no other module can authenticate a user here')
    }),
  ),
  authmerging: inSection(
    take1(
      'controls how a <Directory>, <Location>, or similar directive group is merged',
      (value, directive, { report }) => {
        if (!/^off$/i.test(value))
          report.refuse(directive, 'only Off is supported: the last section counts', { at: value })
      },
    ),
  ),
  allowmethods: inSection((directive, context) => {
    const names = splitWords(directive.args)
    if (names.length === 0) return context.report.fail(directive, "AllowMethods: No method or 'reset' keyword given")
    const methods = names.some(name => /^reset$/i.test(name))
      ? undefined
      : new Set(names.includes('GET') ? [...names, 'HEAD'] : names)
    setAccess(context, { methods })
  }),
  sslverifydepth: take1('SSL Client verify depth', (value, directive, context) => {
    if (!/^\d+$/.test(value)) context.report.fail(directive, 'SSLVerifyDepth: Invalid argument', { at: value })
    else setAccess(context, { depth: atoi(value) })
  }),
  sslrequiressl: inSection((_, context) => setAccess(context, { needsTls: true })),
  sslverifyclient: take1('SSL Client verify type', (value, directive, context) => {
    const mode = value.toLowerCase()
    if (!/^(?:none|optional|require|optional_no_ca)$/.test(mode))
      context.report.fail(directive, `SSLVerifyClient: Invalid argument '${value}'`, { at: value })
    else setAccess(context, { needsCertificate: mode === 'require' })
    if (mode !== 'none') context.server.standalone.set('sslverifyclient', directive)
  }),
}

/** Access control that httpd allows in sections alone. httpd: OR_AUTHCFG, OR_LIMIT. */
function inSection(handler: Handler): Handler {
  return (directive, context) => {
    if (!isInServer(context)) handler(directive, context)
    else {
      const isOld = /^(?:order|allow|deny)$/.test(directive.key)
      context.report.fail(directive, `${isOld ? directive.key : directive.name} not allowed here`)
    }
  }
}

function setAccess({ scope }: Context, rules: AccessRules): void {
  scope.access = { ...scope.access, ...rules }
}

const always = (): boolean => true

/** A Require line or section goes into the section around it, or into the implicit `<RequireAny>` of its Location. */
function addRequirement(requirement: Requirement | undefined, context: Context): void {
  if (requirement === undefined) return
  if (context.requirements !== undefined) {
    context.requirements.push(requirement)
    return
  }
  const before = context.scope.access?.require
  const children = [...(before?.children ?? []), requirement]
  const concerns = (method: string): boolean => children.some(child => child.concerns(method))
  setAccess(context, { require: { negated: false, concerns, test: undefined, logic: 'any', children } })
}

function addSection(directive: Directive, context: Context, logic: Requirement['logic'], negated: boolean): void {
  const { name, children = [] } = directive
  const requirements: Requirement[] = []
  context.read(children, { ...context, requirements })
  const concerns = (method: string): boolean => requirements.some(each => each.concerns(method))
  const { report } = context
  if (requirements.length === 0) {
    report.fail(directive, `${name}> directive contains no authorization directives`)
    return
  }
  const negative = requirements.find(each => each.negated)
  if (negative !== undefined && logic === 'any')
    report.fail(directive, `negative Require directive has no effect in ${name}> directive`)
  else if (requirements.every(each => each.negated))
    report.fail(directive, `${name}> directive contains only negative authorization directives`)
  else addRequirement({ negated, concerns, test: undefined, logic, children: requirements }, context)
}

/** `<Limit>` and `<LimitExcept>`. HEAD counts as GET. */
function limited(directive: Directive, context: Context, only: boolean): undefined {
  const { report } = context
  if (isInServer(context)) return report.fail(directive, `${directive.name} not allowed here`)
  if (context.concerns !== undefined)
    return report.refuse(directive, 'a section of methods in another one is not supported')
  const methods = new Set(splitWords(directive.args).map(method => method.replace(/>$/, '')))
  if (methods.has('TRACE')) return report.fail(directive, 'TRACE cannot be controlled by <Limit>, see TraceEnable')
  const concerns = (method: string): boolean => methods.has(method === 'HEAD' ? 'GET' : method) === only
  context.read(directive.children ?? [], { ...context, concerns })
}

/** httpd: add_authz_provider. */
function readRequire(directive: Directive, context: Context): Requirement | undefined {
  const { report, concerns = always } = context
  const words = new Words(directive.args)
  let provider = words.next().toLowerCase()
  const negated = provider === 'not'
  if (negated) provider = words.next().toLowerCase()
  const { rest } = words
  if (negated && context.requirements === undefined)
    return report.fail(directive, 'negative Require directive has no effect in <RequireAny> directive')
  const test = providerTest(provider, rest, directive, context)
  return test && { negated, concerns, test, logic: 'any', children: [] }
}

/** Providers of other modules. */
const OTHER_PROVIDERS = new Set(
  `dbd-group dbd-login dbd-logout dbm-file-group dbm-group file-group file-owner ldap-attribute ldap-dn ldap-filter ldap-group
  ldap-search ldap-user`.split(/\s+/),
)

const verdict = (holds: boolean): Verdict => (holds ? 'granted' : 'denied')

function providerTest(
  provider: string,
  rest: string,
  directive: Directive,
  context: Context,
): NonNullable<Requirement['test']> | undefined {
  const { report } = context
  const values = splitWords(rest)
  const byUser =
    (fits: (user: string) => boolean): NonNullable<Requirement['test']> =>
    ({ user }) =>
      user === undefined ? 'no user' : verdict(fits(user))
  switch (provider) {
    case 'all': {
      const granted = /^granted$/i.test(rest.trim())
      if (!granted && !/^denied$/i.test(rest.trim()))
        return report.fail(directive, "Argument for 'Require all' must be 'granted' or 'denied'")
      return () => verdict(granted)
    }
    case 'ip': {
      const networks = values.map(readNetwork)
      if (values.length === 0) return report.fail(directive, "'require ip' requires an argument")
      const wrong = values[networks.indexOf(undefined)]
      if (wrong !== undefined)
        return report.fail(directive, `ip address '${wrong}' appears to be invalid`, { at: wrong })
      return ({ state }) => verdict(networks.some(isIn => isIn?.(addressOf(state))))
    }
    case 'local':
      return ({ state }) => {
        const address = addressOf(state)
        return verdict(/^127\.|^::1$/.test(address) || address === state.req.socket.localAddress)
      }
    case 'host':
      return ({ state }) => some(values, name => isInDomain(addressOf(state), name))
    case 'forward-dns':
      return ({ state }) => some(values, name => hasAddress(name, addressOf(state)))
    case 'env':
      return ({ state }) => verdict(values.some(name => state.env.has(name)))
    case 'method':
      return ({ state: { req } }) => verdict(values.includes(req.method === 'HEAD' ? 'GET' : (req.method ?? '')))
    case 'expr': {
      const expression = readRequestExpression(values.length === 1 ? (values[0] as string) : rest)
      if ('problem' in expression) return report.refuse(directive, expression.problem)
      context.server.needsPath = true
      return ({ state }) => verdict(expression(state) !== null)
    }
    case 'valid-user':
      return byUser(() => true)
    case 'user':
      return byUser(user => values.includes(user))
    case 'group':
      return ({ user }) => {
        const groups = user === undefined ? undefined : context.scope.access?.groups?.(user)
        return user === undefined ? 'no user' : verdict(values.some(name => groups?.has(name)))
      }
    case 'ssl':
      return ({ state }) => verdict(isTls(state.req))
    case 'ssl-verify-client':
      return ({ state: { req } }) => verdict('authorized' in req.socket && req.socket.authorized === true)
    default:
      if (!OTHER_PROVIDERS.has(provider)) return report.fail(directive, `Unknown Authz provider: ${provider}`)
      return report.refuse(directive, `${provider} is not supported`, {
        at: provider,
        expected: 'all, ip, local, host, forward-dns, env, method, expr, user, group, valid-user or ssl',
      })
  }
}

async function some(names: readonly string[], test: (name: string) => Promise<boolean>): Promise<Verdict> {
  for (const name of names) if (await test(name)) return 'granted'
  return 'denied'
}

const NO_HOSTS: HostRules = { orders: [], allow: [], deny: [] }

function order(directive: Directive, context: Context): void {
  const value = directive.args.trim().toLowerCase().replace(/["\s]/g, '')
  if (value !== 'allow,deny' && value !== 'deny,allow' && value !== 'mutual-failure') {
    context.report.fail(directive, 'unknown order')
    return
  }
  const { concerns = always } = context
  const hosts = context.scope.access?.hosts ?? NO_HOSTS
  setAccess(context, { hosts: { ...hosts, orders: [...hosts.orders, { concerns, order: value }] } })
}

/** httpd: allow_cmd. */
function addHostRules(directive: Directive, context: Context, kind: 'allow' | 'deny'): undefined {
  const { report, concerns = always } = context
  const [from = '', ...values] = splitWords(directive.args)
  if (values.length === 0)
    return report.fail(
      directive,
      `${kind} requires at least two arguments, 'from' followed by hostnames or IP-address wildcards`,
    )
  if (from.toLowerCase() !== 'from') return report.fail(directive, "allow and deny must be followed by 'from'")
  const added = values.map((value): HostRule => ({ concerns, test: hostTest(value, directive, context) }))
  const hosts = context.scope.access?.hosts ?? NO_HOSTS
  setAccess(context, { hosts: { ...hosts, [kind]: [...hosts[kind], ...added] } })
}

function hostTest(value: string, directive: Directive, { report }: Context): HostRule['test'] {
  if (/^all$/i.test(value)) return () => true
  const variable = /^env=(!?)(.+)$/i.exec(value)
  if (variable !== null) return ({ env }) => env.has(variable[2] as string) === (variable[1] === '')
  const network = readNetwork(value)
  if (network !== undefined) return state => network(addressOf(state))
  if (/[/]|^[\d.]+$/.test(value)) report.error(directive, `"${value}" is not an address or a network`, { at: value })
  return state => isInDomain(addressOf(state), value)
}

/** LimitRequestBody. httpd: set_limit_req_body; ap_http_filter does not apply it to proxied requests. */
export const LIMIT_REQUEST_BODY = take1(
  'Limit (in bytes) on maximum size of request message body',
  (value, directive, { report }) => {
    if (/^\d+$/.test(value)) report.ignore(directive, 'it does not apply to proxied requests, in httpd too')
    else report.fail(directive, 'LimitRequestBody requires a non-negative integer.', { at: value })
  },
)
