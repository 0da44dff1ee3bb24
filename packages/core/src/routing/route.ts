import type { IncomingMessage } from 'node:http'
import { type Key, pathToRegexp } from 'path-to-regexp'
import { buildPath, exactPath, parseTarget, type TargetTemplate, type TemplateScope } from '../backend/target.ts'
import { WsTunnelError } from '../errors.ts'
import { type DecodedPath, prefixLength, type RequestUrl, servletPrefixLength } from '../http/path.ts'
import type {
  Captures,
  Condition,
  ExactTarget,
  LocalAnswer,
  RouteSettings,
  TargetResult,
} from '../options/route-options.ts'
import type { RouteStatus } from '../options/tunnel-proxy.ts'
import { type Release, Slots } from '../util/slots.ts'
import { type ConditionTest, compileConditions, stateless } from './conditions.ts'
import { type Backends, type Destination, Destinations } from './destination.ts'

/** Longest path a pattern is tried on, in characters (LimitRequestLine is 8190). */
const MAX_MATCHED_PATH = 8_192

/** An answer that a target function gave; no backend is asked. */
export class LocalDestination {
  readonly status: number
  readonly location: string | undefined

  /** @throws {WsTunnelError} `WST_ERR_CALLBACK` for what is no such answer. */
  constructor({ status, location }: LocalAnswer) {
    if (!Number.isInteger(status) || status < 300 || status > 599)
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `the target function gave the status ${status}` })
    if (location !== undefined && (typeof location !== 'string' || !/^[\x21-\x7e\x80-\xff]+$/.test(location)))
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: 'the target function gave a location that is no URL' })
    this.status = status
    this.location = location
  }
}

const isAnswer = (result: unknown): result is LocalAnswer =>
  typeof result === 'object' && result !== null && 'status' in result

const isPromise = (result: unknown): result is Promise<TargetResult> =>
  typeof result === 'object' && result !== null && 'then' in result

const isExact = (result: unknown): result is ExactTarget =>
  typeof result === 'object' && result !== null && 'url' in result && 'path' in result

/** What becomes of a matched request; `false` hands it back to the app. */
export type Routing = Destination | LocalDestination | false

/** What the destination's backend says goes over the route; a promise comes too late to choose an upgrade by it. */
export const settingsFor = (routing: Routing | Promise<Routing>, route: Route): RouteSettings =>
  routing !== false && 'settings' in routing ? routing.settings : route.settings

/** Why a route does not take a request: its path, a condition by its place, or no upgrade where there is no fallback. */
export type Miss = 'path' | 'upgrade' | { readonly condition: number }

/** @throws {WsTunnelError} `WST_ERR_PATH_TOO_LONG` */
export function checkLength(path: string): void {
  if (path.length > MAX_MATCHED_PATH)
    throw new WsTunnelError('WST_ERR_PATH_TOO_LONG', { detail: `at most ${MAX_MATCHED_PATH} characters` })
}

/** Whether a condition tries a pattern on the path. */
const searchesPath = (condition: Condition): boolean =>
  'any' in condition ? condition.any.some(searchesPath) : 'url' in condition && condition.url === 'path'

/** Matches the path alone; `null` is no match. */
type PathTest = (path: string) => Omit<Captures, 'conditionGroups'> | null

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

/** One ProxyPass, ProxyPassMatch or RewriteRule [P] line. */
export class Route implements RouteStatus {
  readonly settings: RouteSettings
  readonly index: number
  #hits = 0
  readonly #slots: Slots
  readonly #matchPath: PathTest
  readonly #matchConditions: ConditionTest
  readonly #searchesPath: boolean
  readonly #scope: TemplateScope
  readonly #template: TargetTemplate | undefined
  readonly #destinations: Destinations

  /** @throws {WsTunnelError} `WST_ERR_OPTION` for a pattern or a target that cannot be read. */
  constructor(settings: RouteSettings, index: number, where: string, backends: Backends) {
    this.settings = settings
    this.index = index
    this.#slots = new Slots(settings.maxTunnels, 0, 'the route')
    this.#matchConditions = compileConditions(settings.when)
    this.#searchesPath = settings.when.some(searchesPath)
    ;[this.#matchPath, this.#scope] = compilePath(settings, `${where}path`)
    this.#destinations = new Destinations(settings, backends)
    if (typeof settings.target === 'string') {
      this.#template = parseTarget(settings.target, this.#scope, `${where}target`)
      this.#destinations.check(this.#template, `${where}target`)
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

  get hits(): number {
    return this.#hits
  }

  get open(): number {
    return this.#slots.inUse
  }

  get maxTunnels(): number {
    return this.settings.maxTunnels
  }

  /** Counts a request that it takes. */
  hit(): void {
    this.#hits++
  }

  /**
   * What the route captures of a request, or `null`; `onMiss` hears why.
   *
   * @throws {WsTunnelError} for a matched path that may not be proxied.
   */
  match(req: IncomingMessage, url: RequestUrl, onMiss?: (miss: Miss) => void): Captures | null {
    const { text, fault } = this.#read(url)
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
    return { ...found, conditionGroups, rest: url.bare && found.rest === '/' ? '' : found.rest }
  }

  #read(url: RequestUrl): DecodedPath {
    const { mapping, encodedSlashes, mergeSlashes } = this.settings
    return mapping === 'decoded' ? url.path(encodedSlashes, mergeSlashes) : url.encoded(mergeSlashes)
  }

  /** The worker and path for a match; `false` hands the request back to the app. */
  destination(req: IncomingMessage, url: RequestUrl, captures: Captures): Routing | Promise<Routing> {
    const { target } = this.settings
    if (target === false) return false
    if (typeof target === 'function') return this.#ask(target, req, url, captures)
    return this.#destination(this.#template as TargetTemplate, req, url, captures)
  }

  /**
   * Takes one of the route's places for a tunnel.
   *
   * @throws {WsTunnelError} `WST_ERR_TUNNEL_LIMIT`
   */
  enter(): Release {
    return this.#slots.acquireNow()
  }

  /** Closes the idle connections of its workers. */
  close(): void {
    this.#destinations.close()
  }

  #destination(
    template: TargetTemplate,
    req: IncomingMessage,
    url: RequestUrl,
    captures: Captures,
  ): Destination | Promise<Destination> {
    const { join, encodedSlashes, query } = this.settings
    const raw = this.settings.mapping === 'decoded' ? this.#rawCaptures(url) : captures
    const joining = { join, encodedSlashes, raw: raw !== undefined, query: url.query, queries: query }
    return this.#destinations.of(template, buildPath(template, { ...captures, ...raw }, joining), req)
  }

  /**
   * nocanon: what the route captures of the raw path, if it covers as much of that (httpd falls back likewise). A raw `..` was
   * resolved for the match; sent on, it would climb out of the target's own path.
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

  /** What the function gives at once is looked at at once: a promise is too late to choose whether to upgrade by it. */
  #ask(
    target: Exclude<RouteSettings['target'], string | false>,
    req: IncomingMessage,
    url: RequestUrl,
    captures: Captures,
  ): Routing | Promise<Routing> {
    const failed = (cause: unknown): WsTunnelError =>
      cause instanceof WsTunnelError
        ? cause
        : new WsTunnelError('WST_ERR_CALLBACK', { detail: `the target function threw ${String(cause)}`, cause })
    let result: TargetResult | Promise<TargetResult>
    try {
      result = target(req, captures)
    } catch (cause) {
      throw failed(cause)
    }
    if (!isPromise(result)) return this.#routing(result, req, url, captures)
    return this.#inTime(
      Promise.resolve(result).then(
        made => this.#routing(made, req, url, captures),
        cause => {
          throw failed(cause)
        },
      ),
    )
  }

  async #inTime<T>(result: Promise<T>): Promise<T> {
    const { handshakeTimeout } = this.settings
    if (handshakeTimeout === 0) return result
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new WsTunnelError('WST_ERR_HANDSHAKE_TIMEOUT')), handshakeTimeout)
    try {
      return await Promise.race([result, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #routing(
    result: TargetResult,
    req: IncomingMessage,
    url: RequestUrl,
    captures: Captures,
  ): Routing | Promise<Routing> {
    if (result === false) return false
    if (isAnswer(result)) return new LocalDestination(result)
    if (isExact(result)) return this.#destinations.of(this.#parse(result.url), exactPath(result.path), req)
    if (typeof result !== 'string') {
      throw new WsTunnelError('WST_ERR_CALLBACK', {
        detail: `the target function gave ${typeof result}, expected a URL, false, { url, path } or { status, location }`,
      })
    }
    return this.#destination(this.#parse(result), req, url, captures)
  }

  #parse(text: string): TargetTemplate {
    try {
      const template = parseTarget(text, { ...this.#scope, literal: true }, 'the URL given by the target function')
      this.#destinations.check(template, 'the URL given by the target function')
      return template
    } catch (cause) {
      throw new WsTunnelError('WST_ERR_CALLBACK', { detail: (cause as Error).message, cause })
    }
  }
}

function compilePath({ path, join, mapping }: RouteSettings, where: string): [PathTest, TemplateScope] {
  if (path instanceof RegExp) {
    const pattern = stateless(path)
    const test: PathTest = text => {
      const groups = pattern.exec(text)
      return groups && { groups, params: NO_PARAMS, rest: groups.groups?.['rest'] ?? text }
    }
    return [test, { groups: true, params: [], glued: join === 'concat' }]
  }
  const isPattern = /(?<!\\)(?:[:*][a-z_$"]|\{)/i.test(path)
  return isPattern ? compilePattern(path, where) : compilePrefix(path.replace(/\\(.)/gs, '$1'), join, mapping)
}

function compilePrefix(
  prefix: string,
  join: RouteSettings['join'],
  mapping: RouteSettings['mapping'],
): [PathTest, TemplateScope] {
  const lengthOf = mapping === 'servlet' ? servletPrefixLength : prefixLength
  const test: PathTest = text => {
    // Glued as httpd does it, "/" covers the slash; otherwise the slash tells a mount point from what is below it.
    const length = prefix === '/' && join === 'slash' ? 0 : lengthOf(text, prefix)
    return length === -1 ? null : { groups: [], params: NO_PARAMS, rest: text.slice(length) }
  }
  return [test, { groups: false, params: [] }]
}

function compilePattern(path: string, where: string): [PathTest, TemplateScope] {
  let regexp: RegExp
  let keys: Key[]
  try {
    ;({ regexp, keys } = pathToRegexp(path, { end: false, sensitive: true, trailing: false }))
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_OPTION', { detail: `\`${where}\`: ${(cause as Error).message}`, cause })
  }
  const names = keys.map(key => key.name)
  const test: PathTest = text => {
    const found = regexp.exec(text)
    if (found === null) return null
    const params = Object.fromEntries(names.map((name, i) => [name, found[i + 1] ?? '']))
    return { groups: [], params, rest: text.slice(found[0].length) }
  }
  return [test, { groups: false, params: names }]
}
