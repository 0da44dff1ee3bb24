import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { plainAddress, WsTunnelError } from '@ws-tunnel/core'
import { authenticate, type BasicAuth, unauthorized } from './basic-auth.ts'
import { keepUser } from './remote-user.ts'
import { isTls } from './request.ts'
import type { RewriteState } from './rewrite-variables.ts'

/** A request, and the user that it was authenticated for. */
export interface AccessSubject {
  readonly state: RewriteState
  readonly user: string | undefined
}

/** The result of a Require line. httpd: authz_status. */
export type Verdict = 'granted' | 'denied' | 'neutral' | 'no user'

/** A Require line, or a section of such lines. */
export interface Requirement {
  readonly negated: boolean
  /** Whether a request with this method is judged (`<Limit>`). */
  readonly concerns: (method: string) => boolean
  /** `undefined` for a section. */
  readonly test: ((subject: AccessSubject) => Verdict | Promise<Verdict>) | undefined
  readonly logic: 'all' | 'any'
  readonly children: readonly Requirement[]
}

/** One Allow or Deny line. */
export interface HostRule {
  readonly concerns: (method: string) => boolean
  readonly test: (state: RewriteState) => boolean | Promise<boolean>
}

/** The value of Order. */
export type HostOrder = 'deny,allow' | 'allow,deny' | 'mutual-failure'

/** Order, Allow and Deny. */
export interface HostRules {
  /** The lines; of those that concern a method, the last one counts. */
  readonly orders: readonly { readonly concerns: (method: string) => boolean; readonly order: HostOrder }[]
  readonly allow: readonly HostRule[]
  readonly deny: readonly HostRule[]
}

/** The access control of a section. */
export interface AccessRules {
  readonly require?: Requirement
  readonly hosts?: HostRules
  readonly satisfy?: 'all' | 'any'
  /** AuthType, lower-case; `undefined` for None. */
  readonly authType?: string | undefined
  readonly authName?: string
  readonly users?: BasicAuth['users']
  readonly groups?: (user: string) => ReadonlySet<string> | undefined
  /** SSLRequireSSL */
  readonly needsTls?: boolean
  /** AllowMethods; `undefined` for every method. */
  readonly methods?: ReadonlySet<string> | undefined
  /** SSLVerifyDepth: how many certificates of authorities a chain may have. */
  readonly depth?: number
  /** SSLVerifyClient require */
  readonly needsCertificate?: boolean
}

const forbidden = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_ACCESS', { detail })

/**
 * Checks whether a request may pass. httpd: ap_process_request_internal.
 *
 * @throws {WsTunnelError} 403, 401, or 500 if the rules cannot be applied.
 */
export async function checkAccess(rules: AccessRules, state: RewriteState): Promise<void> {
  const { req } = state
  if (rules.needsTls && !isTls(req)) throw forbidden('SSLRequireSSL')
  if (rules.needsCertificate && !(isTls(req) && (req.socket as TLSSocket).authorized))
    throw forbidden('SSLVerifyClient require')
  if (rules.needsCertificate && depthOf(req.socket as TLSSocket) > (rules.depth ?? 1)) throw forbidden('SSLVerifyDepth')
  const refused = await refusal(rules, state)
  if (rules.satisfy === 'any' && refused === undefined) return
  if (refused !== undefined && rules.satisfy !== 'any') throw refused
  // A method that no line concerns is not judged.
  const { require } = rules
  const isJudged = require?.concerns(req.method ?? '') === true
  const verdict = isJudged ? await judge(require, { state, user: undefined }, 'all') : 'granted'
  if (verdict === 'granted') {
    if (refused !== undefined && require === undefined) throw refused
    return
  }
  if (verdict !== 'no user') throw forbidden('Require')
  const auth = authOf(rules)
  const user = await authenticate(auth, req)
  keepUser(req, user)
  const again = await judge(require as Requirement, { state, user }, 'all')
  if (again !== 'granted') throw unauthorized(auth)
}

/** How many certificates of authorities the chain of a client has. */
function depthOf(socket: TLSSocket): number {
  let depth = 0
  for (let one = socket.getPeerCertificate(true); one.issuerCertificate && one.issuerCertificate !== one; depth++)
    one = one.issuerCertificate as DetailedPeerCertificate
  return depth
}

/** @throws {WsTunnelError} 500 without AuthType, AuthName or AuthUserFile. */
function authOf({ authType, authName, users }: AccessRules): BasicAuth {
  const missing = authType === undefined ? 'AuthType' : authName === undefined ? 'AuthName' : 'AuthUserFile'
  if (authType === undefined || authName === undefined || users === undefined)
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `a Require line needs a user, and ${missing} is not set` })
  return { realm: authName, users }
}

/** The error of the checks that need no user: AllowMethods, Allow and Deny. httpd: am_check_access, check_dir_access. */
async function refusal({ methods, hosts }: AccessRules, state: RewriteState): Promise<WsTunnelError | undefined> {
  if (methods?.has(state.req.method ?? '') === false)
    return new WsTunnelError('WST_ERR_ACCESS', { statusCode: 405, detail: 'AllowMethods' })
  return hosts === undefined || (await passesHosts(hosts, state)) ? undefined : forbidden('Allow and Deny')
}

/** httpd: find_allowdeny. */
async function passesHosts({ orders, allow, deny }: HostRules, state: RewriteState): Promise<boolean> {
  const order = orders.findLast(({ concerns }) => concerns(state.req.method ?? ''))?.order ?? 'deny,allow'
  const finds = async (rules: readonly HostRule[]): Promise<boolean> => {
    for (const { concerns, test } of rules) if (concerns(state.req.method ?? '') && (await test(state))) return true
    return false
  }
  if (order === 'deny,allow') return !(await finds(deny)) || (await finds(allow))
  return (await finds(allow)) && !(await finds(deny))
}

/** httpd: apply_authz_sections. */
async function judge(
  { negated, concerns, test, logic, children }: Requirement,
  subject: AccessSubject,
  around: Requirement['logic'],
): Promise<Verdict> {
  if (!concerns(subject.state.req.method ?? '')) return around === 'all' ? 'granted' : 'denied'
  let verdict: Verdict = 'neutral'
  if (test !== undefined) verdict = await test(subject)
  else {
    for (const child of children) {
      const found = await judge(child, subject, logic)
      if (found === 'neutral') continue
      if (found === (logic === 'all' ? 'denied' : 'granted')) {
        verdict = found
        break
      }
      const outweighs = found === 'no user' && (logic === 'all' ? verdict !== 'denied' : verdict === 'denied')
      if (outweighs || verdict === 'neutral') verdict = found
    }
  }
  if (!negated) return verdict
  // What is not denied is not granted by that.
  return verdict === 'granted' ? 'denied' : 'neutral'
}

/** The address of a client. */
export const addressOf = ({ req }: RewriteState): string => plainAddress(req.socket.remoteAddress)
