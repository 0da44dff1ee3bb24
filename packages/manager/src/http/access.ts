import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { wrongOption } from '../util/wrong-option.ts'

/**
 * What a visitor may do: `true` allows everything, `'view'` allows viewing but no changes, `false` allows nothing
 * (403). With a `challenge` the response is a 401 that has it as `WWW-Authenticate`.
 */
export type Access = boolean | 'view' | { readonly challenge: string }

/** Decides what the visitor may do who made a request for the page, a script of it, the API or metrics. */
export type Authorize = (req: IncomingMessage) => Access | Promise<Access>

/** Who may visit. Exactly one of the two options must be set. */
export interface AccessOptions {
  /** Called for every request, and again at every `recheck` for an open live stream. */
  authorize?: Authorize
  /**
   * Lets every visitor see and change everything. Set it only on a machine that no other person can connect to.
   *
   * @default false
   */
  unsafeOpen?: boolean
}

/** What a visitor may do, or the response that refuses the visit. */
export type Visitor =
  | { readonly allowed: true; readonly mayChange: boolean }
  | { readonly allowed: false; readonly statusCode: 401 | 403; readonly headers: Record<string, string> }

/** @throws {TypeError} unless exactly one of `authorize` and `unsafeOpen: true` is set. */
export function checkAccess({ authorize, unsafeOpen = false }: AccessOptions): Authorize {
  if (typeof unsafeOpen !== 'boolean') wrongOption('unsafeOpen', 'true or false', unsafeOpen)
  if (authorize === undefined && unsafeOpen) return () => true
  if (typeof authorize !== 'function')
    wrongOption(
      'authorize',
      'a function (req) => true, false, "view" or { challenge }; to allow every visitor set `unsafeOpen: true`',
      authorize,
    )
  if (unsafeOpen) wrongOption('unsafeOpen', 'left out beside `authorize`', unsafeOpen)
  return authorize as Authorize
}

/** Calls `authorize`. A result that is not documented refuses the visit. An error that it throws goes to the caller. */
export async function visit(authorize: Authorize, req: IncomingMessage): Promise<Visitor> {
  const access = await authorize(req)
  if (access === true || access === 'view') return { allowed: true, mayChange: access === true }
  if (typeof access === 'object' && access !== null && typeof access.challenge === 'string')
    return { allowed: false, statusCode: 401, headers: { 'WWW-Authenticate': access.challenge } }
  return { allowed: false, statusCode: 403, headers: {} }
}

/**
 * Whether the request was sent to `localhost`, to an IP address or to one of these hosts.
 *
 * A site can make its own name resolve to the address of the manager (DNS rebinding). Its pages then have the origin of
 * the manager for the browser, and nothing but Host shows the difference.
 */
export function isForKnownHost(req: IncomingMessage, hosts: readonly string[]): boolean {
  const named = [req.headers.host, req.headers[':authority']].filter(each => each !== undefined)
  return named.length > 0 && named.every(each => isKnown(hostOf(String(each)), hosts))
}

const hostOf = (authority: string): string =>
  authority
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')

const isKnown = (host: string, hosts: readonly string[]): boolean =>
  host === 'localhost' || isIP(host) !== 0 || hosts.includes(host)

/** Whether a page of another site made the request, according to the browser. */
export function isFromOtherSite(req: IncomingMessage): boolean {
  const site = req.headers['sec-fetch-site']
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

/**
 * Whether the manager's own page made the request, according to the browser.
 *
 * Browsers send Origin with every POST, and over TLS also Sec-Fetch-Site (Fetch Metadata). A page cannot set either of
 * them.
 */
export function isFromOurPage(req: IncomingMessage, origins: readonly string[]): boolean {
  const { origin, host = req.headers[':authority'], 'sec-fetch-site': site } = req.headers
  if (site !== undefined) return site === 'same-origin'
  if (origin === undefined) return false
  if (origins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === String(host).toLowerCase()
}

/** The token of changes. Only a page that may read responses of the manager can know it. */
export class ChangeToken {
  readonly token: string

  constructor(secret: string) {
    this.token = createHmac('sha256', secret).update('ws-tunnel manager').digest('base64url')
  }

  equals(given: unknown): boolean {
    const [a, b] = [Buffer.from(String(given)), Buffer.from(this.token)]
    return a.length === b.length && timingSafeEqual(a, b)
  }
}
