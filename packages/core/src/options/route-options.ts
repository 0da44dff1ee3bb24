import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { HeaderList } from '../http/header-list.ts'
import type { SharedOptions, SharedSettings } from './backend-options.ts'
import type { BalancerChoice } from './balancer-options.ts'

/** `%0`-`%9`: the groups of the last condition that matched. Empty if it captured nothing. */
export type ConditionGroups = readonly (string | undefined)[]

/** What the path and the conditions of a route captured. */
export interface Captures {
  /** `$0`-`$9` of a RegExp path. */
  readonly groups: readonly (string | undefined)[]
  /** The `:name`s of a pattern. */
  readonly params: Readonly<Record<string, string>>
  /** `%0`-`%9` of the last condition that matched. */
  readonly conditionGroups: ConditionGroups
  /** The path behind the prefix or pattern; the whole path for a RegExp. */
  readonly rest: string
}

/**
 * Where a route sends its requests: a URL, `false`, or a function.
 *
 * - A URL has the scheme `ws:`, `wss:`, `http:`, `https:` or `balancer:`, or is `unix:/path.sock|ws://name/`. Scheme, host and port are
 *   fixed text. The path may hold `$0`-`$9` of a RegExp path, `%1`-`%9` of the last condition that captured, and the `:name`s of a
 *   pattern.
 * - `false` hands the request back to the app (ProxyPass "!").
 * - A function returns one of these per request, or a response. It is trusted code: nothing in its URL is expanded.
 */
export type Target<Req = IncomingMessage> =
  | string
  | URL
  | false
  | ((req: Req, captures: Captures) => TargetResult | Promise<TargetResult>)

/** What a target function returns: a URL, `false` for the app, an exact request target, or a response without a backend. */
export type TargetResult = string | URL | false | ExactTarget | LocalResponse

/** A backend, and the exact request target that it gets: nothing is encoded, and no query is appended. */
export interface ExactTarget {
  /** Scheme, host and port. */
  url: string
  /** Path and query; one character is one byte. A dot segment, a space or a control character: 403. */
  path: string
}

/** A response without a backend and without a body (RewriteRule [R], [G]). */
export interface LocalResponse {
  /** 300-599. */
  status: number
  /** Value of the Location field, sent as it is. @default undefined */
  location?: string
}

/** One test of the request (RewriteCond). A missing header field counts as the empty string. */
export type Condition<Req = IncomingMessage> =
  /** The value of the field matches; several lines are joined by `, `. The groups become `%1`-`%9`. */
  | { header: string; matches: RegExp }
  /** The value of the field does not match (a RewriteCond pattern that begins with `!`). */
  | { header: string; not: RegExp }
  /** The decoded path as routes match it, or the query as the client wrote it without `?`, matches (%{REQUEST_URI}, %{QUERY_STRING}). */
  | { url: 'path' | 'query'; matches: RegExp }
  /** The path or the query does not match. */
  | { url: 'path' | 'query'; not: RegExp }
  /**
   * Any test of the app. If it throws: 500. If the server has other `upgrade` listeners, it also runs before the app's middleware, to tell
   * whose an upgrade is.
   */
  | { test: (req: Req) => boolean }
  /** At least one of the conditions holds (RewriteCond [OR]). */
  | { any: Condition<Req>[] }

/** Edits of a header list, applied in the order unset, set, append (RequestHeader, Header). */
export interface HeaderEdits {
  /** Replaces all lines of the field by one line. */
  set?: Record<string, string>
  /** Adds a line. */
  append?: Record<string, string>
  /** Removes all lines of the field. */
  unset?: string[]
}

/** What a header function may read. */
export interface HeaderContext<Req = IncomingMessage> {
  /** The client's request, as the framework has it. */
  readonly req: Req
  /** The member that a balancer selected; `undefined` for a target without a balancer. */
  readonly choice: BalancerChoice | undefined
}

/** Edits of a header list, or a function that edits it in place. If the function throws, or sets a malformed field: 500. */
export type HeaderEditing<Req = IncomingMessage> =
  | HeaderEdits
  | ((headers: HeaderList, context: HeaderContext<Req>) => void)

/** Throws, or rejects, to refuse a request. */
export type Guard<Req = IncomingMessage> = (req: Req) => void | Promise<void>

/** How open tunnels are moved out of JavaScript. */
export interface OffloadOptions {
  /** How long a new tunnel stays in JavaScript first, ms (ProxyWebsocketAsyncDelay). @default 0 */
  delay?: number
  /** Number of threads that carry such tunnels, 1-64. @default 1 */
  threads?: number
}

/**
 * A function of the app that serves the plain requests of a route. It is called as Express and Connect call a middleware.
 *
 * The parameters are those of `node:http`. The type also accepts a function with narrower ones, such as a handler of Express.
 */
export type FallbackFunction = {
  call(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): unknown
}['call']

/**
 * An engine for plain HTTP of another package, such as `@ws-tunnel/http-proxy-middleware`. It sends the plain requests of a route.
 * Which backend gets a request, failover, limits and header fields are the proxy's.
 */
export interface FallbackEngine {
  /** One round trip to one backend: a `PlainEngine` of `@ws-tunnel/core/engine`. */
  readonly send: (trip: never) => Promise<unknown>
  /**
   * Called when no backend has responded, before the app's error handler.
   *
   * @returns whether the engine responds; the app's error handler is not called then.
   */
  readonly failed?: (error: Error, req: IncomingMessage, res: ServerResponse) => Promise<boolean>
}

/** Options of a route. Written beside `routes`, they are the defaults of all routes. */
export interface RouteDefaults<Req = IncomingMessage> extends SharedOptions {
  /**
   * Serves requests that are not upgrades as plain HTTP (ProxyWebsocketFallbackToProxyHttp). A function `(req, res, next)` gets them instead
   * of a backend: `next()` hands the request back to the app, and `next(error)` passes the error to the app's error handler. What is an
   * upgrade is then decided by the option `upgrade` of the route, and no target is selected for a plain request. `hpm()` of
   * `@ws-tunnel/http-proxy-middleware` sends them to the target with the options of http-proxy-middleware. @default true
   */
  fallback?: boolean | FallbackFunction | FallbackEngine
  /** How the URL of a prefix target and the rest of the path are joined: with exactly one slash, or concatenated as httpd does. As in httpd, `'concat'` replaces a reference to an unknown group by nothing; `'slash'` refuses it. @default 'slash' */
  join?: 'slash' | 'concat'
  /** What happens to `%2F` in a path: 404, decoded, or kept as it is (AllowEncodedSlashes). @default 'reject' */
  encodedSlashes?: 'reject' | 'decode' | 'keep'
  /**
   * Which form of the path is matched (`mapping=`). `'encoded'` matches the path before it is decoded, and sends it in that form; such a
   * route does not see the result of `rewrite`. `'servlet'` does the same, and matches a prefix as a servlet container does, which
   * resolves `/x/..;/`. @default 'decoded'
   */
  mapping?: 'decoded' | 'encoded' | 'servlet'
  /** Treats a run of slashes in a path as one slash (MergeSlashes). @default true */
  mergeSlashes?: boolean
  /**
   * How the queries of the target and the request are combined. `'append'`: the target's, followed by the request's (QSA). `'replace'`: the
   * target's if it has one, else the request's. `'drop'`: the target's alone (QSD). @default 'append'
   */
  query?: 'append' | 'replace' | 'drop'
  /** Sends the path as the client wrote it (ProxyPass nocanon). @default false */
  nocanon?: boolean
  /**
   * A tunnel ends after this time, ms; 0 is no limit. With `{ ms, jitter }` each tunnel ends up to `jitter` ms earlier, at random, so that
   * clients that came together do not reconnect together. @default 0
   */
  maxLifetime?: number | { ms: number; jitter: number }
  /**
   * Sends a Close frame with the code 1001 to both ends of a WebSocket before the FIN if the proxy ends it: at a limit, a deadline, `close()`.
   * It goes where a frame has ended, and not after a Close frame; in the middle of a frame there is none (RFC 6455 5.5.1). The proxy puts
   * nothing else into a tunnel. It reads the headers of the frames for it, so bulk data costs more. @default false
   */
  closeFrame?: boolean
  /**
   * When a tunnel ends at the latest, as ms from now or as a `Date`: the expiry of the token that let the request in. `undefined` is never.
   * It is called before the 101. It is trusted code. If it throws, or returns anything else: 500. @default undefined
   */
  deadline?: (req: Req) => number | Date | undefined
  /**
   * A plain request ends after this time in which the client sends no byte of the body that it has announced, or accepts no byte of its
   * response, ms; 0 is never (Timeout). Before the response has begun: 408. @default 60000
   */
  stallTimeout?: number
  /** Maximum of open tunnels of the route, those in their handshake included; 0 is no limit (max=). Past it: 503. @default 0 */
  maxTunnels?: number
  /**
   * Maximum of open tunnels of the route for one key, those in their handshake included: for a user, or an address. Past it: 429. A key of
   * `undefined` is not counted. If `key` throws: 500. @default undefined
   */
  maxTunnelsPerKey?: {
    /** Maximum for one key. */
    limit: number
    /** Returns what a request counts for; `undefined` is not counted. */
    key: (req: Req) => string | undefined
  }
  /**
   * Moves open tunnels out of JavaScript to native threads. Needs the package `@ws-tunnel/native`, and plain TCP or unix sockets on both
   * sides; other tunnels stay in JavaScript. It cannot be combined with `async`, `asyncDelay` and `threads`, which are the same settings
   * under Apache's names. @default true
   */
  offload?: boolean | OffloadOptions
  /** The same as `offload: true` or `false` (ProxyWebsocketAsync). @default true */
  async?: boolean
  /** The same as `offload.delay`, ms (ProxyWebsocketAsyncDelay). @default 0 */
  asyncDelay?: number
  /** The same as `offload.threads`, 1-64. @default 1 */
  threads?: number
  /**
   * Refuses a WebSocket handshake without a 16-byte key or without version 13 (400), and a 101 with the wrong Sec-WebSocket-Accept (502)
   * (RFC 6455 4.2). @default false
   */
  strictHandshake?: boolean
  /**
   * Origins that may upgrade, `scheme://host[:port]`, compared exactly; others get 403. `undefined` checks nothing. A request without
   * Origin passes, because it does not come from a browser. `file://` allows pages of files; `null` allows every sandboxed page, so any
   * site. The Origin that the client sent is checked, whatever the app has made of it in `req.headers`. @default undefined
   */
  allowedOrigins?: readonly string[]
  /** Sends the client's Host instead of the target's (ProxyPreserveHost). @default false */
  preserveHost?: boolean
  /**
   * What happens to Via in requests and responses (ProxyVia). `'off'` keeps it, `'on'` adds this proxy, `'full'` adds it with the name of
   * the product, `'block'` removes the field. @default 'off'
   */
  via?: 'off' | 'on' | 'full' | 'block'
  /** Adds X-Forwarded-For, -Host, -Server and -Proto, except those that the app has set in `req.headers` (ProxyAddHeaders). @default true */
  addHeaders?: boolean
  /** Edits of the request that the backend gets, after those of the app in `req.headers` (RequestHeader). @default undefined */
  requestHeaders?: HeaderEditing<Req>
  /** Edits of the response that the client gets, a 101 included (Header). @default undefined */
  responseHeaders?: HeaderEditing<Req>
  /**
   * Edits of a response head without a backend: of an error, of a redirect, and of what the app responds to a request that it gets back
   * (Header always). The list has the fields that are set on `res` so far. @default undefined
   */
  localHeaders?: HeaderEditing<Req>
  /**
   * Decides whether a request may pass (Require, Allow, Deny). It runs after the match and before anything else, also for a `target: false`;
   * beside `routes` it also runs for a request that no route matches. It refuses by an error, for instance one with the code
   * `WST_ERR_ACCESS`. Any other error: 500. @default undefined
   */
  guard?: Guard<Req>
  /**
   * Turns responses of the backend with a status of 400 or more, or with a status of the list, into errors for the app's error handler
   * (ProxyErrorOverride). The error keeps the status, and with 401 the field WWW-Authenticate. @default false
   */
  errorOverride?: boolean | readonly number[]
  /**
   * Rewrites Location, Content-Location, URI and Destination of a response: backend URL prefix -> public path or URL (ProxyPassReverse).
   * `true` maps the route's own target to the path of the route. @default false
   */
  passReverse?: boolean | Record<string, string>
  /** Rewrites `Path` of Set-Cookie: internal prefix -> public path (ProxyPassReverseCookiePath). @default {} */
  passReverseCookiePath?: Record<string, string>
  /** Rewrites `Domain` of Set-Cookie: internal prefix -> public domain (ProxyPassReverseCookieDomain). @default {} */
  passReverseCookieDomain?: Record<string, string>
  /**
   * Options of `tls.connect` for `wss:` and `https:` targets (SSLProxy*), except those that say where to connect. `servername` is the host
   * of the target unless given. Certificates, keys and CAs are parsed at the first connect to a backend. Each connect makes a full
   * handshake, in which the certificate is checked. With `rejectUnauthorized: false`, a `checkServerIdentity` that is given
   * is called too, although the chain is not verified. @default {}
   */
  tls?: ConnectionOptions
  /** DNS lookup of `net.connect`, for instance to refuse ranges of addresses. @default dns.lookup */
  lookup?: LookupFunction
}

/** One ProxyPass, ProxyPassMatch or RewriteRule [P] line. Routes are tried in order; the first match wins. */
export interface RouteOptions<Req = IncomingMessage> extends RouteDefaults<Req> {
  /**
   * A string is a prefix that ends at a segment boundary (ProxyPass). A string with `:name`, `*name` or `{...}` is a pattern of
   * path-to-regexp. A RegExp is ProxyPassMatch. If the target has no captures, the RegExp's group `rest` is appended to it, or the whole
   * path if there is no such group.
   * @default '/'
   */
  path?: string | RegExp
  /** All conditions must hold (RewriteCond). @default [] */
  when?: Condition<Req>[]
  /** Where the request goes. */
  target: Target<Req>
  /** A name for people, shown by `explain` and `proxy.routes`. @default undefined */
  name?: string
}

type Present = Required<
  Omit<
    RouteDefaults,
    | keyof SharedOptions
    | 'offload'
    | 'lookup'
    | 'allowedOrigins'
    | 'requestHeaders'
    | 'responseHeaders'
    | 'localHeaders'
    | 'guard'
    | 'maxLifetime'
    | 'deadline'
    | 'maxTunnelsPerKey'
  >
>

/** The options of a route, each with a value. */
export interface RouteSettings extends Readonly<Present>, SharedSettings {
  readonly name: string | undefined
  readonly path: string | RegExp
  readonly when: readonly Condition[]
  readonly target: Exclude<Target, URL>
  readonly lookup: LookupFunction | undefined
  /** In lower case. */
  readonly allowedOrigins: ReadonlySet<string> | undefined
  readonly requestHeaders: HeaderEditing | undefined
  readonly responseHeaders: HeaderEditing | undefined
  readonly localHeaders: HeaderEditing | undefined
  readonly guard: Guard | undefined
  readonly maxLifetime: number
  /** How much earlier a tunnel may end, ms. */
  readonly lifetimeJitter: number
  readonly deadline: RouteDefaults['deadline']
  readonly maxTunnelsPerKey: RouteDefaults['maxTunnelsPerKey']
}
