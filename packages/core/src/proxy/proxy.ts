import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { addressOf } from '../backend/target.ts'
import { DiscoveredMembers } from '../balancer/discovered-members.ts'
import { HealthChecks } from '../balancer/health-checks.ts'
import { ImplicitListeners } from '../client/implicit-listeners.ts'
import type { Claim } from '../client/listener.ts'
import { WsTunnelError } from '../errors.ts'
import { isHttp2 } from '../http/http2.ts'
import { prefixLength, RequestUrl } from '../http/path.ts'
import type { Balancer } from '../options/balancer-options.ts'
import { withDefaults } from '../options/checks.ts'
import { resolveOptions, type Settings, type WsTunnelOptions } from '../options/options.ts'
import type { Guard, RouteSettings } from '../options/route-options.ts'
import type { CloseOptions, HandleContext, RouteStatus, TunnelProxy } from '../options/tunnel-proxy.ts'
import type { Candidate } from '../routing/candidates.ts'
import { type Match, RouteTable } from '../routing/route-table.ts'
import { type EndListener, OPEN, type OpenTunnel } from '../tunnel/open-tunnel.ts'
import type { Tunnel, TunnelEnd } from '../tunnel/tunnel.ts'
import { LinkedSet } from '../util/linked-set.ts'
import { callFallback } from './call-fallback.ts'
import { startDebugLog } from './debug-log.ts'
import { leftToApp } from './decide.ts'
import { channels, log, notify, pathOf, withoutQuery } from './diagnostics.ts'
import { Drain } from './drain.ts'
import { respondsByEngine } from './engine-failure.ts'
import { Exchange, IN_PROXY } from './exchange.ts'
import { withFailover } from './failover.ts'
import { setLocalHeaders } from './local-headers.ts'
import { Movable } from './movable.ts'
import { readTarget, spellingOf } from './read-target.ts'
import { countRelayed, relayResponse, respondLocally } from './relay-response.ts'
import { isSwitched, type Reply, type SwitchedReply } from './round-trip.ts'
import { switchProtocols } from './switch-protocols.ts'

/**
 * Creates a proxy from options.
 *
 * @typeParam Req the request that `handle` gets, and so the functions of the options
 * @throws {WsTunnelError} `WST_ERR_OPTION` for a wrong option. It names the option, what was expected and what was found.
 */
export function createTunnelProxy<Req extends IncomingMessage = IncomingMessage>(
  options: WsTunnelOptions<Req>,
): TunnelProxy {
  startDebugLog()
  return new RoutedProxy(resolveOptions(options as WsTunnelOptions), options.routes === undefined)
}

/** Statuses after which the rest of the connection cannot be read safely. */
const ENDS_CONNECTION: ReadonlySet<number> = new Set([400, 408, 505])

/** What the route table found for a request. */
interface Found {
  readonly match: Match | null
  /** Host and port of an absolute-form request target. */
  readonly authority: string | undefined
}

class RoutedProxy implements TunnelProxy, EndListener {
  readonly #settings: Settings
  readonly #routes: RouteTable
  readonly #exchanges = new LinkedSet<Exchange>(IN_PROXY)
  readonly #tunnels = new LinkedSet<OpenTunnel>(OPEN)
  readonly #listeners = new ImplicitListeners((req, mount) => this.#claimsBelow(req, mount))
  readonly #healthChecks: HealthChecks
  readonly #discoveredMembers: readonly DiscoveredMembers[]
  readonly #onIdle: (() => void)[] = []
  readonly #movable: Movable
  #isReady = true
  #isClosing = false

  constructor(settings: Settings, single: boolean) {
    this.#settings = settings
    this.#routes = new RouteTable(settings, single)
    this.#healthChecks = new HealthChecks(settings, this.#routes.balancers)
    this.#discoveredMembers = Array.from(this.#routes.balancers.values(), balancer =>
      balancer.named.map(named => new DiscoveredMembers(balancer, named)),
    ).flat()
    this.#movable = new Movable({
      name: settings.handoverName,
      routes: this.#routes,
      tunnels: this.#tunnels,
      isBusy: () => this.#exchanges.size > 0,
      adopt: (tunnel, release) => {
        this.#add(tunnel, release)
        if (channels.adopted.hasSubscribers) channels.adopted.publish({ tunnel, proxy: this })
      },
      close: drainTimeout => this.close(drainTimeout === undefined ? {} : { drainTimeout }),
    })
  }

  get tunnels(): ReadonlySet<Tunnel> {
    return this.#tunnels
  }

  get routes(): readonly RouteStatus[] {
    return this.#routes.statuses
  }

  get balancers(): ReadonlyMap<string, Balancer> {
    return this.#routes.balancers
  }

  readonly handle = async (
    req: IncomingMessage,
    res: ServerResponse,
    context: HandleContext = {},
  ): Promise<boolean> => {
    const found = this.#match(req, res, context)
    const settings = found.match?.route.settings ?? this.#settings.defaults
    // Nothing waits without a guard: the socket of an upgrade is taken in the same turn of the event loop.
    if (settings.guard !== undefined) await this.#guard(settings.guard, req, res, settings)
    const exchange = this.#begin(found, req, res, context)
    if (exchange === undefined) {
      setLocalHeaders(req, res, settings.localHeaders)
      return false
    }
    try {
      const decided = exchange.decide()
      const decision = decided instanceof Promise ? await decided : decided
      if (decision.kind === 'app') {
        setLocalHeaders(req, res, settings.localHeaders)
        exchange.handBack()
        return false
      }
      if (decision.kind === 'fallback') return await callFallback(exchange, decision.call)
      if (decision.kind === 'respond') {
        setLocalHeaders(req, res, settings.localHeaders)
        await respondLocally(exchange, decision.response)
      } else {
        const reply = await withFailover(this, exchange, decision.candidates, this.#settings.logger)
        if (channels.response.hasSubscribers) this.#publishResponse(exchange, reply)
        if (isSwitched(reply)) this.#open(exchange, reply)
        else {
          // Node takes the socket from a response that has ended.
          const { socket } = reply
          // `Promise.finally` would cost three promises for each request.
          try {
            await relayResponse(exchange, reply)
          } finally {
            countRelayed(exchange, socket)
          }
        }
      }
      return true
    } catch (error) {
      if (exchange.isAbandoned) return true
      exchange.locate(error, exchange.candidate)
      const reported = this.#report(error, req, res, settings)
      if (await respondsByEngine(exchange, error)) return true
      throw reported
    } finally {
      this.#release(exchange)
    }
  }

  #match(req: IncomingMessage, res: ServerResponse, handled: HandleContext): Found {
    const { mount = '', listen = true } = handled
    if (listen && !this.#isClosing) {
      const originForm = spellingOf(req, handled, this.#settings) === 'exact'
      this.#listeners.listen(req, mount, this.#settings.only, originForm)
    }
    try {
      const { url, authority } = readTarget(req, handled, this.#settings)
      const match = this.#routes.match(req, url)
      match?.route.hit()
      return { match, authority }
    } catch (error) {
      throw this.#report(error, req, res, this.#settings.defaults)
    }
  }

  async #guard(guard: Guard, req: IncomingMessage, res: ServerResponse, settings: RouteSettings): Promise<void> {
    try {
      await guard(req)
    } catch (cause) {
      const isKnown = cause instanceof WsTunnelError
      const error = isKnown ? cause : new WsTunnelError('WST_ERR_CALLBACK', { detail: 'the guard failed', cause })
      throw this.#report(error, req, res, settings)
    }
  }

  /** Begins an exchange if a route proxies the request. */
  #begin(
    { match, authority }: Found,
    req: IncomingMessage,
    res: ServerResponse,
    handled: HandleContext,
  ): Exchange | undefined {
    const { mount = '', url: target = req.url ?? '/', body, rawBody } = handled
    if (match === null || leftToApp(match) !== undefined) return undefined
    try {
      if (this.#isClosing) throw this.#closing()
      const context = { mount, target, authority, body, rawBody }
      const exchange = new Exchange(req, res, match, this.#settings, context)
      this.#exchanges.add(exchange)
      return exchange
    } catch (error) {
      throw this.#report(error, req, res, match.route.settings)
    }
  }

  readonly claims = (
    req: IncomingMessage,
    { mount = '', url = req.url ?? '/' }: HandleContext = {},
  ): boolean | undefined => {
    try {
      const match = this.#routes.match(req, new RequestUrl(url))
      if (match === null || leftToApp(match) !== undefined) return false
      return mount === '' && match.route.takesAll ? undefined : true
    } catch {
      // The route matches, and refuses the request.
      return true
    }
  }

  #claimsBelow(req: IncomingMessage, mount: string): boolean | undefined {
    const { url = '/' } = req
    const covered = prefixLength(new RequestUrl(url).rawPath, mount)
    return covered === -1 ? false : this.claims(req, { mount, url: url.slice(covered) })
  }

  readonly listen = (server: Server, claim?: Claim): void => {
    const { only, paths } = this.#settings
    if (!this.#isClosing) this.#listeners.listenOn(server, claim, only, paths !== 'normalise')
  }

  #publishResponse({ req, candidate }: Exchange, reply: Reply): void {
    const statusCode = isSwitched(reply) ? 101 : reply.statusCode
    const { worker, selection } = candidate as Candidate
    const target = addressOf(worker.origin)
    channels.response.publish({ req, statusCode, target, choice: selection?.choice, proxy: this })
  }

  #open(exchange: Exchange, reply: SwitchedReply): void {
    const tunnel = switchProtocols(exchange, reply)
    reply.candidate.selection?.member.carry(tunnel)
    this.#add(tunnel, exchange.handOver())
    notify(channels.open, this.#settings.onOpen, { tunnel, req: exchange.req, proxy: this })
  }

  #add(tunnel: OpenTunnel, release: () => void): void {
    this.#tunnels.add(tunnel)
    tunnel.onEnd(this)
    tunnel.hold(release)
  }

  tunnelOnEnd(tunnel: OpenTunnel, end: TunnelEnd): void {
    this.#tunnels.delete(tunnel)
    tunnel.release()
    const { logger, onClose } = this.#settings
    if (end.reason === 'backend-error') {
      const { url, target } = tunnel.info
      log(logger, 'warn', `The tunnel of ${withoutQuery(url)} to ${target} ended: ${end.error?.message ?? end.reason}`)
    }
    // The process that took it over reports its end.
    if (end.reason !== 'handed-over') notify(channels.close, onClose, { tunnel, end, proxy: this })
    this.#checkIdle()
  }

  #release(exchange: Exchange): void {
    exchange.release()
    this.#exchanges.delete(exchange)
    this.#checkIdle()
  }

  /** The error for the app's error handler. The header fields that its response must carry are set on `res`. */
  #report(error: unknown, req: IncomingMessage, res: ServerResponse, { localHeaders }: RouteSettings): unknown {
    if (!(error instanceof WsTunnelError)) return error
    if (!res.headersSent && !isHttp2(req)) {
      for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value)
      if (ENDS_CONNECTION.has(error.statusCode)) res.shouldKeepAlive = false
    }
    setLocalHeaders(req, res, localHeaders)
    const { logger, onError } = this.#settings
    if (error.statusCode >= 500) log(logger, 'error', `${req.method} ${pathOf(req)}: ${error.message}`)
    notify(channels.error, onError, { error, req, proxy: this })
    return error
  }

  get ready(): boolean {
    return this.#isReady
  }

  readonly close = async (given: CloseOptions = {}): Promise<void> => {
    const { drainTimeout, drainSpread, noticeTime } = withDefaults(this.#settings, given)
    this.#isReady = false
    if (noticeTime > 0 && !this.#isClosing) await delay(noticeTime)
    this.#isClosing = true
    this.#healthChecks.close()
    for (const members of this.#discoveredMembers) members.stop()
    const drain = new Drain(this.#tunnels, { drainTimeout, drainSpread }, () => this.#cutAll())
    await this.#whenIdle()
    drain.stop()
    this.#routes.close()
    this.#listeners.stop()
    this.#movable.remove()
  }

  #cutAll(): void {
    for (const exchange of this.#exchanges) exchange.abort(this.#closing())
    for (const tunnel of this.#tunnels) void tunnel.close('shutdown')
  }

  #closing(): WsTunnelError {
    const { retryAfter } = this.#settings
    if (retryAfter === 0) return new WsTunnelError('WST_ERR_CLOSING')
    return new WsTunnelError('WST_ERR_CLOSING', { headers: { 'Retry-After': `${Math.ceil(retryAfter / 1_000)}` } })
  }

  /** Resolves when no exchange and no tunnel is left. */
  #whenIdle(): Promise<void> {
    return new Promise(resolve => {
      this.#onIdle.push(resolve)
      this.#checkIdle()
    })
  }

  #checkIdle(): void {
    if (this.#exchanges.size + this.#tunnels.size > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}
