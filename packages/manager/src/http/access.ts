import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { wrongOption as fail } from '../util/wrong-option.ts'

/**
 * What a visitor may do: `true` see and change everything, `'view'` see it, `false` neither (403). With a `challenge` the
 * answer is a 401 that carries it as `WWW-Authenticate`.
 */
export type Access = boolean | 'view' | { readonly challenge: string }

/** Decides on every request, be it for the page, a script of it, the API or metrics. */
export type Authorize = (req: IncomingMessage) => Access | Promise<Access>

/** Who may come in. One of the two must be there. */
export interface AccessOptions {
  /** Asked for every request, and again and again for those who watch live. */
  authorize?: Authorize
  /** Lets in whoever reaches it, to see and to change everything: only where nobody else can connect. @default false */
  unsafeOpen?: boolean
}

/** What a visitor may do, or the answer that turns it away. */
export type Visitor =
  | { readonly let: 'in'; readonly mayChange: boolean }
  | { readonly let: 'out'; readonly statusCode: 401 | 403; readonly headers: Record<string, string> }

/** @throws {TypeError} unless there is `authorize`, or `unsafeOpen: true`. */
export function checkAccess({ authorize, unsafeOpen = false }: AccessOptions): Authorize {
  if (typeof unsafeOpen !== 'boolean') fail('unsafeOpen', 'true or false', unsafeOpen)
  if (authorize === undefined && unsafeOpen) return () => true
  if (typeof authorize !== 'function')
    fail(
      'authorize',
      'a function (req) => true, false, "view" or { challenge }; to let in everybody set `unsafeOpen: true`',
      authorize,
    )
  if (unsafeOpen) fail('unsafeOpen', 'left out beside `authorize`', unsafeOpen)
  return authorize as Authorize
}

/** Asks `authorize`; anything but its three ways of a yes is a no. A throw is the caller's. */
export async function visit(authorize: Authorize, req: IncomingMessage): Promise<Visitor> {
  const access = await authorize(req)
  if (access === true || access === 'view') return { let: 'in', mayChange: access === true }
  if (typeof access === 'object' && access !== null && typeof access.challenge === 'string')
    return { let: 'out', statusCode: 401, headers: { 'WWW-Authenticate': access.challenge } }
  return { let: 'out', statusCode: 403, headers: {} }
}

/** Whether a browser, if it is one, asks on behalf of our own page, of no page at all, or cannot say. */
export function fromElsewhere(req: IncomingMessage): boolean {
  const site = req.headers['sec-fetch-site']
  return site !== undefined && site !== 'same-origin' && site !== 'none'
}

/**
 * Whether the request says that our own page made it. Browsers send Origin with every POST, and over TLS also Sec-Fetch-Site
 * (Fetch Metadata), neither of which a page can set.
 */
export function fromOurPage(req: IncomingMessage, origins: readonly string[]): boolean {
  const { origin, host = req.headers[':authority'], 'sec-fetch-site': site } = req.headers
  if (site !== undefined) return site === 'same-origin'
  if (origin === undefined) return false
  if (origins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === String(host).toLowerCase()
}

/** Tokens that only a page that may read our answers can know. */
export class Tokens {
  readonly token: string

  constructor(secret: string) {
    this.token = createHmac('sha256', secret).update('ws-tunnel manager').digest('base64url')
  }

  fits(given: unknown): boolean {
    const [a, b] = [Buffer.from(String(given)), Buffer.from(this.token)]
    return a.length === b.length && timingSafeEqual(a, b)
  }
}
