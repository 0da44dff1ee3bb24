import type { IncomingMessage } from 'node:http'
import { buildPath, exactPath, parseTarget, type TargetTemplate, type TemplateScope } from '../backend/target.ts'
import { WsTunnelError } from '../errors.ts'
import type { DecodedPath, RequestUrl } from '../http/path.ts'
import { decodeReserved } from '../http/percent-encoding.ts'
import type {
  Captures,
  Condition,
  ExactTarget,
  LocalResponse,
  RouteSettings,
  TargetResult,
} from '../options/route-options.ts'
import type { RouteStatus } from '../options/tunnel-proxy.ts'
import { type CancelSignal, unlessAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import { KeyedSlots } from '../util/keyed-slots.ts'
import { type Release, Slots } from '../util/slots.ts'
import { type Backends, type Candidates, RouteWorkers } from './candidates.ts'
import { compilePath, type PathTest } from './compile-path.ts'
import { type ConditionTest, compileConditions } from './conditions.ts'
import { checkLocalResponse } from './local-response.ts'

/** The longest path that is matched against a pattern, in characters (LimitRequestLine is 8190). */
const MAX_MATCHED_PATH = 8_192

const isLocalResponse = (result: unknown): result is LocalResponse =>
  typeof result === 'object' && result !== null && 'status' in result

const isPromise = (result: unknown): result is Promise<TargetResult> =>
  typeof result === 'object' && result !== null && 'then' in result

const isExact = (result: unknown): result is ExactTarget =>
  typeof result === 'object' && result !== null && 'url' in result && 'path' in result

/** Where a matched request goes: to a backend, to a response without one, or back to the app (`false`). */
export type Routing = Candidates | LocalResponse | false

/** @throws {WsTunnelError} `WST_ERR_PATH_TOO_LONG` */
export function checkLength(path: string): void {
  if (path.length > MAX_MATCHED_PATH)
    throw new WsTunnelError('WST_ERR_PATH_TOO_LONG', { detail: `at most ${MAX_MATCHED_PATH} characters` })
}

/** Why a route does not match: its path, a condition (by index), or no upgrade on a route without fallback. */
export type Miss = 'path' | 'upgrade' | { readonly condition: number }

/** A request that a route matched. */
export interface MatchedRequest {
  readonly req: IncomingMessage
  /** The request target that the client sent, or the result of `rewrite`. */
  readonly url: RequestUrl
  readonly captures: Captures
}

/** Whether a condition tests the path. */
const searchesPath = (condition: Condition): boolean =>
  'any' in condition ? condition.any.some(searchesPath) : 'url' in condition && condition.url === 'path'

/** One ProxyPass, ProxyPassMatch or RewriteRule [P] line. */
export class Route implements RouteStatus {
  readonly settings: RouteSettings
  readonly index: number
  #hits = 0
  #httpBytesSent = 0
  #httpBytesReceived = 0
  readonly #slots: Slots
  readonly #keyedSlots: KeyedSlots | undefined
  readonly #matchPath: PathTest
  readonly #matchConditions: ConditionTest
  readonly #searchesPath: boolean
  readonly #scope: TemplateScope
  readonly #template: TargetTemplate | undefined
  readonly #workers: RouteWorkers

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for a pattern or a target that cannot be read. */
  constructor(settings: RouteSettings, index: number, where: string, backends: Backends) {
    this.settings = settings
    this.index = index
    this.#slots = new Slots(settings.maxTunnels, 0, 'the route')
    this.#keyedSlots = settings.maxTunnelsPerKey && new KeyedSlots(settings.maxTunnelsPerKey.limit)
    this.#matchConditions = compileConditions(settings.when)
    this.#searchesPath = settings.when.some(searchesPath)
    ;[this.#matchPath, this.#scope] = compilePath(settings, `${where}path`)
    this.#workers = new RouteWorkers(settings, backends)
    if (typeof settings.target === 'string') {
      this.#template = parseTarget(settings.target, this.#scope, `${where}target`)
      this.#workers.check(this.#template, `${where}target`)
    }
  }

  get name(): string | undefined {
    return this.settings.name
  }

  get path(): string {
    return String(this.settings.path)
  }

  get target(): string | false | undefined {
    const { target } = this.settings
    return typeof target === 'function' ? undefined : target
  }

  /** Whether it takes every request that reaches the proxy, so that a match says nothing about the path. */
  get takesAll(): boolean {
    const { path, when } = this.settings
    return path === '/' && when.length === 0
  }

  get hits(): number {
    return this.#hits
  }

  get httpBytesSent(): number {
    return this.#httpBytesSent
  }

  get httpBytesReceived(): number {
    return this.#httpBytesReceived
  }

  get open(): number {
    return this.#slots.inUse
  }

  get maxTunnels(): number {
    return this.settings.maxTunnels
  }

  /** Counts a request that it matched. */
  hit(): void {
    this.#hits++
  }

  /** Adds the bytes of a plain request. */
  count(sent: number, received: number): void {
    this.#httpBytesSent += sent
    this.#httpBytesReceived += received
  }

  /**
   * What the route captures of a request; `null` if it does not match. `onMiss` is called with the reason.
   *
   * @throws {WsTunnelError} for a matched path that may not be proxied, and for a path that matches only with, or only
   *   without, its escapes of reserved characters: the app may have read it the other way.
   */
  match(req: IncomingMessage, url: RequestUrl, onMiss?: (miss: Miss) => void): Captures | null {
    const { text, decoded, fault } = this.#read(url)
    if (decoded !== undefined && this.#matchText(req, url, decoded) !== this.#matchText(req, url, text)) {
      throw new WsTunnelError('WST_ERR_PATH_SPELLING', {
        detail: `route ${this.index} matches only one of ${JSON.stringify(text)} and ${JSON.stringify(decoded)}`,
      })
    }
    if (typeof this.settings.path !== 'string' || this.#scope.params.length > 0) checkLength(text)
    const found = this.#matchPath(text)
    if (found === null) {
      onMiss?.('path')
      return null
    }
    if (this.#searchesPath) checkLength(text)
    const texts = { path: text, query: url.query.slice(1) }
    const conditionGroups = this.#matchConditions(req, texts, onMiss && (condition => onMiss({ condition })))
    if (conditionGroups === null) return null
    if (fault !== undefined && this.settings.target !== false) throw fault
    const { groups, params, rest } = found
    return { groups, params, conditionGroups, rest: url.bare && rest === '/' ? '' : rest }
  }

  #matchText(req: IncomingMessage, url: RequestUrl, text: string): boolean {
    const { path } = this.settings
    if (typeof path !== 'string' || this.#scope.params.length > 0 || this.#searchesPath) checkLength(text)
    const texts = { path: text, query: url.query.slice(1) }
    return this.#matchPath(text) !== null && this.#matchConditions(req, texts) !== null
  }

  #read(url: RequestUrl): DecodedPath {
    const { mapping, encodedSlashes, mergeSlashes } = this.settings
    return mapping === 'decoded' ? url.path(encodedSlashes, mergeSlashes) : url.encoded(mergeSlashes)
  }

  /**
   * Where a matched request goes.
   *
   * @param signal ends the wait for a member
   * @returns a promise only if a target function returns one, or if a balancer waits for a usable member.
   */
  resolve(matched: MatchedRequest, signal: CancelSignal): Routing | Promise<Routing> {
    const { target } = this.settings
    if (target === false) return false
    if (typeof target === 'function') return this.#callTarget(target, matched, signal)
    return this.#candidates(this.#template as TargetTemplate, matched, signal)
  }

  /**
   * The key that a tunnel for the request counts for; `undefined` for none.
   *
   * @throws {WsTunnelError} `WST_ERR_CALLBACK` if the function fails.
   */
  keyOf(req: IncomingMessage): string | undefined {
    const { maxTunnelsPerKey } = this.settings
    if (maxTunnelsPerKey === undefined) return undefined
    const failed = (what: string, cause?: unknown): WsTunnelError =>
      new WsTunnelError('WST_ERR_CALLBACK', { detail: `\`key\` of maxTunnelsPerKey ${what}`, cause })
    let key: unknown
    try {
      key = maxTunnelsPerKey.key(req)
    } catch (cause) {
      throw cause instanceof WsTunnelError ? cause : failed(`threw ${String(cause)}`, cause)
    }
    if (key !== undefined && typeof key !== 'string') throw failed(`returned ${typeof key}, expected a string`)
    return key
  }

  /**
   * Acquires one of the route's slots for tunnels, and one of those of the key.
   *
   * @param anyway whether to acquire them even if all are in use, for a tunnel that is open already
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  acquire(key: string | undefined, anyway = false): Release {
    const how = anyway ? 'acquireAnyway' : 'acquire'
    const ofKey = key === undefined ? undefined : this.#keyedSlots?.[how](key)
    try {
      const slot = this.#slots[anyway ? 'acquireAnyway' : 'acquireNow']()
      if (ofKey === undefined) return slot
      return () => {
        slot()
        ofKey()
      }
    } catch (error) {
      ofKey?.()
      throw error
    }
  }

  /** Closes the idle connections of its workers. */
  close(): void {
    this.#workers.close()
  }

  #candidates(
    template: TargetTemplate,
    { req, url, captures }: MatchedRequest,
    signal: CancelSignal,
  ): Candidates | Promise<Candidates> {
    const { join, encodedSlashes, query } = this.settings
    const raw = this.settings.mapping === 'decoded' ? this.#rawCaptures(url) : captures
    const joining = {
      join,
      encodedSlashes,
      raw: raw !== undefined,
      spelling: url.spelling,
      query: url.query,
      queries: query,
    }
    const path = buildPath(template, raw === undefined ? captures : { ...captures, ...raw }, joining)
    return this.#workers.candidates(template, path, req, signal)
  }

  /**
   * For `nocanon`: what the route captures of the raw path. `undefined` if the route covers another length of the raw path
   * than of the decoded path; the canonical form is then sent, as in httpd. `undefined` also for a raw path with a `..`
   * segment: the match was made after that segment was resolved, and the raw segment would lead out of the target's path.
   */
  #rawCaptures(url: RequestUrl): Omit<Captures, 'conditionGroups'> | undefined {
    if (!this.settings.nocanon || /(?:^|\/)(?:\.|%2e){2}(?:\/|$)/i.test(url.rawPath)) return undefined
    const { encodedSlashes, mergeSlashes } = this.settings
    const { text } = url.path(encodedSlashes, mergeSlashes)
    const raw = this.#matchPath(url.rawPath)
    const decoded = this.#matchPath(text)
    if (raw === null || url.rawPath.length - raw.rest.length !== text.length - (decoded?.rest.length ?? 0))
      return undefined
    return { ...raw, rest: url.bare && raw.rest === '/' ? '' : raw.rest }
  }

  /** What a target function gets: text without escapes, except those of `encodedSlashes: 'keep'`. */
  #decodedCaptures({ captures, url }: MatchedRequest): Captures {
    const { rest, groups, params: named } = captures
    const all = [rest, ...groups, ...Object.values(named)]
    if (url.spelling !== 'exact' || !all.some(text => text?.includes('%'))) return captures
    const decode = (text: string): string => decodeReserved(text, this.settings.encodedSlashes)
    const params = Object.entries(named).map(([name, value]) => [name, decode(value)])
    return {
      ...captures,
      groups: groups.map(group => group && decode(group)),
      params: Object.fromEntries(params),
      rest: decode(rest),
    }
  }

  /** Uses a result that is not a promise at once, because its settings decide whether the request is an upgrade. */
  #callTarget(
    target: Exclude<RouteSettings['target'], string | false>,
    matched: MatchedRequest,
    signal: CancelSignal,
  ): Routing | Promise<Routing> {
    const failed = (cause: unknown): WsTunnelError =>
      cause instanceof WsTunnelError
        ? cause
        : new WsTunnelError('WST_ERR_CALLBACK', { detail: `the target function threw ${String(cause)}`, cause })
    let result: TargetResult | Promise<TargetResult>
    try {
      result = target(matched.req, this.#decodedCaptures(matched))
    } catch (cause) {
      throw failed(cause)
    }
    if (!isPromise(result)) return this.#routing(result, matched, signal)
    return this.#inTime(
      Promise.resolve(result).then(
        resolved => this.#routing(resolved, matched, signal),
        cause => {
          throw failed(cause)
        },
      ),
      signal,
    )
  }

  async #inTime<T>(result: Promise<T>, signal: CancelSignal): Promise<T> {
    const { handshakeTimeout } = this.settings
    if (handshakeTimeout === 0) return result
    const late = Promise.withResolvers<never>()
    const limit = new Countdown(handshakeTimeout, () => late.reject(new WsTunnelError('WST_ERR_HANDSHAKE_TIMEOUT')))
    try {
      return await unlessAborted(signal, Promise.race([result, late.promise]))
    } finally {
      limit.stop()
    }
  }

  #routing(result: TargetResult, matched: MatchedRequest, signal: CancelSignal): Routing | Promise<Routing> {
    if (result === false) return false
    if (isLocalResponse(result)) return checkLocalResponse(result)
    if (isExact(result))
      return this.#workers.candidates(this.#parse(result.url), exactPath(result.path), matched.req, signal)
    if (result instanceof URL) return this.#routing(result.href, matched, signal)
    if (typeof result !== 'string') {
      throw new WsTunnelError('WST_ERR_CALLBACK', {
        detail: `the target function returned ${typeof result}, expected a URL, false, { url, path } or { status, location }`,
      })
    }
    return this.#candidates(this.#parse(result), matched, signal)
  }

  #parse(text: string): TargetTemplate {
    try {
      const template = parseTarget(text, { ...this.#scope, literal: true }, 'the URL that the target function returned')
      this.#workers.check(template, 'the URL that the target function returned')
      return template
    } catch (cause) {
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: (cause as Error).message, cause })
    }
  }
}
