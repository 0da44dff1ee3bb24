import type { IncomingMessage } from 'node:http'
import type { Tunnel } from '../tunnel/tunnel.ts'
import type { WorkerOptions, WorkerSettings } from './backend-options.ts'
import type { HealthCheckOptions, HealthCheckSettings } from './health-options.ts'
import type { ResolveOptions, ResolveSettings } from './resolve-options.ts'

/** One backend of a balancer (BalancerMember). */
export interface MemberOptions extends WorkerOptions {
  /** The name of the member in session cookies and parameters, behind the separator (route=). @default undefined */
  routeId?: string
  /** The `routeId` of the member that takes over its sessions while it is not usable (redirect=). @default undefined */
  redirect?: string
  /** Its share of the requests relative to the other members, 1-100, with up to two decimals (loadfactor=). @default 1 */
  loadFactor?: number
  /** Its set, 0-99. A member of a higher set is selected only if no member of a lower set is usable (lbset=). @default 0 */
  lbSet?: number
  /** How long it gets no requests after an error, ms (retry=). @default 60000 */
  retry?: number
  /**
   * Letters with `+` and `-` (status=): `D` disabled, `S` stopped, `E` in error, `N` draining, `H` hot standby, `R` hot spare, `C` fails its
   * health checks, `I` errors are ignored. @default ''
   */
  status?: string
  /**
   * Called with the address of the `url`, or with each address that its host name resolves to before a connection. An address for which it
   * returns `false` is not connected to. @default undefined
   */
  acceptAddress?: (address: string) => boolean
  /** Options that override the health check of the balancer; `false` disables the check. @default the check of the balancer */
  healthCheck?: Partial<HealthCheckOptions> | false
  /**
   * Looks up the host of the `url` in DNS and makes one member per address or SRV record. Each of them gets its own `routeId`.
   * @default undefined
   */
  resolve?: ResolveOptions
}

/** All requests of a session go to one member (stickysession=). */
export interface StickySessionOptions {
  /** Name of the cookie. */
  cookie: string
  /** Name of the parameter in path or query. @default the name of the cookie */
  path?: string
  /** The character in front of the `routeId` in the value; `false`: the whole value is the `routeId` (stickysessionsep=). @default '.' */
  separator?: string | false
  /** A `;` also ends a parameter in the path (scolonpathdelim=). @default false */
  semicolonEnds?: boolean
  /** Responds with 503 if the member of the session is not usable (nofailover=). @default false */
  noFailover?: boolean
  /**
   * Sets the cookie on every response of a member that the request does not name, a 101 included
   * (`Header add Set-Cookie ... env=BALANCER_ROUTE_CHANGED`). Every member then needs a `routeId`. @default false
   */
  set?: boolean | SessionCookieOptions
}

/** Attributes of the session cookie (RFC 6265 4.1.2). */
export interface SessionCookieOptions {
  /** @default '/' */
  path?: string
  /** @default undefined: only the host that sets the cookie */
  domain?: string
  /** Seconds. @default undefined: until the browser closes */
  maxAge?: number
  /** `'auto'`: if the client uses https, by its own connection or according to a trusted proxy. @default 'auto' */
  secure?: boolean | 'auto'
  /** @default true */
  httpOnly?: boolean
  /** `'none'`, for pages of other sites, needs `secure: true`. @default 'lax' */
  sameSite?: 'strict' | 'lax' | 'none'
}

/**
 * The part of a request that selects the member: the client's address (according to `trustProxy`), the path below the balancer, or the
 * value of a header field or cookie. The same value selects the same member as long as that member is usable. A request without that
 * field or cookie is balanced by requests.
 */
export type HashOptions = { hash: 'client' | 'path' } | { hash: 'header' | 'cookie'; name: string }

/** How a balancer selects a member (lbmethod=): a method of mod_proxy_balancer, the fewest tunnels, random, a hash, or a function. */
export type LbMethod<Req = IncomingMessage> =
  | 'byrequests'
  | 'bytraffic'
  | 'bybusyness'
  | 'leasttunnels'
  | 'random'
  | HashOptions
  | LbFunction<Req>

/**
 * Selects one of the candidates, or returns `undefined` if none is suitable. The candidates are the usable members of the lowest set that
 * has one; hot standbys are candidates only if no other member is. If the function throws, or returns something else: 500.
 */
export type LbFunction<Req = IncomingMessage> = (candidates: readonly Member[], req: Req) => Member | undefined

/** A named set of backends (`<Proxy balancer://name>`). */
export interface BalancerOptions<Req = IncomingMessage> {
  /** Of equal members, the first is selected. */
  members: readonly MemberOptions[]
  /** How a member is selected (lbmethod=). @default 'byrequests' */
  lbMethod?: LbMethod<Req>
  /** `'COOKIE'`, `'COOKIE|path'`, or an object (stickysession=). @default undefined */
  stickySession?: string | StickySessionOptions
  /** How many other members are tried after a failure to connect (maxattempts=). @default the number of members less one */
  maxAttempts?: number
  /** How long a request waits for a usable member, ms; 0 does not wait (timeout=). Past it: 503. @default 0 */
  timeout?: number
  /** How many requests may wait for a usable member; 0 is no limit. Past it: 503. In httpd, MaxRequestWorkers limits them. @default 1000 */
  maxWaiting?: number
  /** Response statuses that take the member out for its `retry` time (failonstatus=). @default [] */
  failOnStatus?: readonly number[]
  /** Takes a member out for its `retry` time if it does not respond in time (failontimeout=). @default false */
  failOnTimeout?: boolean
  /**
   * Takes a member out for its `retry` time if its response head or 101 takes longer than this, ms; 0 is no limit. The time starts with the
   * connect, or when the client has sent the whole body. The client still gets the response. Caddy: `unhealthy_latency`. @default 0
   */
  unhealthyLatency?: number
  /**
   * Retries an upgrade on the next member if a member does not respond within `handshakeTimeout`, or closes the connection without a
   * response. A function names the requests that are retried then: upgrades, and plain requests no part of whose body was sent (Caddy:
   * `lb_retry_match`). httpd does not retry once a member has the request; nginx does (proxy_next_upstream). @default false
   */
  failoverUnanswered?: boolean | ((req: Req) => boolean)
  /** If all members are in error, tries them all again (forcerecovery=). @default true */
  forceRecovery?: boolean
  /** Time over which the load factor of an added or recovered member grows to its full value, ms. Hashes ignore it. @default 0 */
  slowStart?: number
  /** How members are checked in the background (mod_proxy_hcheck). @default undefined */
  healthCheck?: HealthCheckOptions
}

/** Settings of a member that may change while it serves. An empty `routeId` or `redirect` removes it. */
export type MemberChanges = Pick<MemberOptions, 'status' | 'loadFactor' | 'lbSet' | 'routeId' | 'redirect' | 'retry'>

/** The result of the health checks of a member. */
export interface Health {
  /** The last check passed. */
  readonly ok: boolean
  /** The result of the last check in words, or why it failed. */
  readonly detail: string
  /** When the last check ended, ms since the epoch. */
  readonly checkedAt: number
  /** Duration of the last check, ms. */
  readonly duration: number
  /** Since when all checks have had this result, ms since the epoch. */
  readonly since: number
}

/**
 * The state of a member in one word. If several apply, it is the first of this list:
 *
 * - `stopped`: it gets no requests and no health checks (S).
 * - `disabled`: it gets no requests (D).
 * - `error`: a request failed; it gets no requests until its `retry` time has passed (E).
 * - `failing`: its health checks fail; it gets no requests until they pass (C).
 * - `draining`: only requests of its sessions go to it (N).
 * - `standby`: it gets requests only if no other member of its set can take them (H).
 * - `spare`: it gets the requests of another member that is not usable (R).
 * - `usable`: it gets requests.
 */
export type MemberState = 'stopped' | 'disabled' | 'error' | 'failing' | 'draining' | 'standby' | 'spare' | 'usable'

/** One backend of a balancer at run time: its settings, its state and its counters (BalancerMember). */
export interface Member {
  /** The URL, which identifies it in its balancer. */
  readonly url: string
  /** Its name in sessions (route=). */
  readonly routeId: string | undefined
  /** The `routeId` of the member that takes over its sessions while it is not usable (redirect=). */
  readonly redirect: string | undefined
  /** 1-100 (loadfactor=). */
  readonly loadFactor: number
  /** 0-99 (lbset=). */
  readonly lbSet: number
  /** How long it gets no requests after an error, ms (retry=). */
  readonly retry: number
  /** How it is checked; `undefined` if it is not. */
  readonly healthCheck: HealthCheckSettings | undefined
  /**
   * The letters of its state in Apache's order, such as `'DN'`; {@link MemberOptions.status} lists them. An assigned text is read like the
   * option: `'+N'` sets a letter, `'-N'` clears it. Assigning throws `WST_ERR_OPTION` for other letters.
   */
  status: string
  /** Its state in one word, derived from `status`. */
  readonly state: MemberState
  /** It may get requests: neither disabled, stopped, in error nor failing. httpd: PROXY_WORKER_IS_USABLE. */
  readonly usable: boolean
  /** It gets new requests: usable and not draining. */
  readonly available: boolean
  /** The result of its health checks; `undefined` before the first one. */
  readonly health: Health | undefined
  /** How often it was selected. */
  readonly selected: number
  /** Requests and tunnels in progress. */
  readonly busy: number
  /** How often an error took it out. */
  readonly failures: number
  /** How far the member is behind its share of the requests. The member with the highest value is due next. httpd: `lbstatus`. */
  readonly lbStatus: number
  /** Bytes sent to the backend, open tunnels included. With more than 100 open tunnels, up to 50 ms old. */
  readonly bytesSent: number
  /** Bytes received from the backend, open tunnels included. With more than 100 open tunnels, up to 50 ms old. */
  readonly bytesReceived: number
  /** Its open tunnels. */
  readonly tunnels: ReadonlySet<Tunnel>
  /**
   * Changes settings while it serves. If one of them is wrong, none changes.
   *
   * @throws {WsTunnelError} `WST_ERR_OPTION`
   */
  change(changes: MemberChanges): void
  /** Sends it no new requests except those of its sessions; open tunnels continue. Sets N, clears D and S. */
  drain(): void
  /** Sends it no requests; open tunnels continue. Sets D. */
  disable(): void
  /** Makes it a regular member: undoes `drain()`, `disable()` and `standby()`. Clears D, S, N and H; an error or failed checks (E, C) stay. */
  enable(): void
  /** Makes it a hot standby, which gets requests only if no other member of its set can take them. Sets H, clears D, S and N. */
  standby(): void
}

/** A balancer at run time: a named set of members (`<Proxy balancer://name>`). */
export interface Balancer {
  readonly name: string
  /** Its method in words, such as `bybusyness` or `hash of cookie id`; `custom` for a function. */
  readonly lbMethod: string
  /** How sessions stick to members; `undefined` if they do not. */
  readonly stickySession: StickySettings | undefined
  /** How long a request waits for a usable member, ms. */
  readonly timeout: number
  /** How many members are tried for one request. */
  readonly attempts: number
  /** The members, discovered ones included. Of equal members, the first is selected. */
  readonly members: readonly Member[]
  /**
   * Adds a member behind the others (balancer-manager's "Add New Worker"), or adds a removed one again, with its state and counters.
   *
   * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and for the URL of another member.
   */
  add(options: MemberOptions | Member): Member
  /**
   * Removes a member. Its tunnels continue; new requests go to other members.
   *
   * @returns whether it was a member.
   */
  remove(member: Member): boolean
}

/** What a request says about its session. */
export interface RequestSession {
  /** The `routeId` that it names, if any. */
  readonly route: string | undefined
  /** Name of the parameter or cookie with that `routeId`. */
  readonly name: string | undefined
}

/** The member that a balancer selected for a request. */
export interface BalancerChoice {
  /** Name of the balancer. */
  readonly balancer: string
  readonly member: Member
  /** `undefined` if the balancer has no sticky sessions. */
  readonly session: RequestSession | undefined
}

/** The options of a member, each with a value. */
export interface MemberSettings extends WorkerSettings {
  readonly routeId: string | undefined
  readonly redirect: string | undefined
  readonly loadFactor: number
  readonly lbSet: number
  readonly retry: number
  readonly status: string
  readonly slowStart: number
  readonly healthCheck: HealthCheckSettings | undefined
  readonly acceptAddress: ((address: string) => boolean) | undefined
  /** The URL with the host name, if `url` has an address from a DNS lookup of that name. TLS and Host use the name. */
  readonly named: string | undefined
}

/** A host name to discover members by. */
export interface NamedMembers {
  readonly resolve: ResolveSettings
  /** Name of the option, for errors. */
  readonly where: string
  /** Settings of each discovered member, except for `url` and `routeId`. */
  readonly settings: MemberSettings
}

/** The options of sticky sessions, each with a value. */
export interface StickySettings extends Readonly<Required<Omit<StickySessionOptions, 'set'>>> {
  readonly set: (Required<Omit<SessionCookieOptions, 'domain' | 'maxAge'>> & SessionCookieOptions) | undefined
}

/** The options of a balancer, each with a value. */
export interface BalancerSettings {
  readonly members: readonly MemberSettings[]
  readonly named: readonly NamedMembers[]
  readonly lbMethod: LbMethod
  readonly stickySession: StickySettings | undefined
  readonly maxAttempts: number | undefined
  readonly timeout: number
  readonly maxWaiting: number
  readonly failOnStatus: readonly number[]
  readonly failOnTimeout: boolean
  readonly unhealthyLatency: number
  readonly failoverUnanswered: boolean | ((req: IncomingMessage) => boolean)
  readonly forceRecovery: boolean
  readonly slowStart: number
  readonly healthCheck: HealthCheckOptions | undefined
}
