import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { discardRest, forward } from '../backend/forward.ts'
import { type DialledSwitch, dialledTrip, mayDial } from '../backend/native-trip.ts'
import { type Answer, roundTrip } from '../backend/round-trip.ts'
import { socketTrip } from '../backend/socket-trip.ts'
import type { Balancer } from '../balancer/balancer.ts'
import { ResolvedMembers } from '../balancer/discovered-members.ts'
import { HealthChecks } from '../balancer/health-checks.ts'
import { listenImplicitly } from '../client/listener.ts'
import { PendingUpgrade } from '../client/pending-upgrade.ts'
import { answerLocally, cut, relayAnswer, relayInterim } from '../client/relay.ts'
import { checkOrigin, checkRequest, checkSwitch, requestedUpgrade } from '../client/request-checks.ts'
import { WsTunnelError } from '../errors.ts'
import { headerValue } from '../http/header-list.ts'
import { RequestUrl } from '../http/path.ts'
import { allowedToken, announcesBody, connectionUpgrade } from '../http/upgrade.ts'
import { MAX_DELAY } from '../options/checks.ts'
import { resolveOptions, type Settings, type WsTunnelOptions } from '../options/options.ts'
import type { Destination } from '../routing/destination.ts'
import { LocalDestination, type RouteStatus, type Routing, settingsFor } from '../routing/route.ts'
import { type Match, RouteTable } from '../routing/route-table.ts'
import { OpenTunnel } from '../tunnel/open-tunnel.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { LinkedSet } from '../util/linked-set.ts'
import { channels, type DiagnosticsMessages } from './diagnostics.ts'
import { askInTurn } from './failover.ts'
import { clientAddress, Rewriting } from './rewriting.ts'

/** What a framework knows of a request beside `(req, res)`. */
export interface HandleContext {
  /** The path the request was mounted under, already taken off `url`. @default '' */
  mount?: string
  /** The request target below the mount. @default req.url */
  url?: string
  /** A body that middleware has parsed. */
  body?: unknown
  /** Listen for upgrades on the server the request came from, if nobody has yet. @default true */
  listen?: boolean
}

/** Options, made ready to serve. */
export interface TunnelProxy {
  /**
   * Serves one request if a route matches it. Resolves at the switch, or when the answer is sent, to whether it took the
   * request; `false` leaves it to the app, with its early bytes.
   *
   * @throws {WsTunnelError} every failure before the 101, by code; nothing was answered then.
   */
  handle(req: IncomingMessage, res: ServerResponse, context?: HandleContext): Promise<boolean>
  /**
   * New requests get 503; open tunnels, and requests under way, may go on for `drainTimeout` ms (default: the option) and
   * are then ended. Resolves when all have ended.
   */
  close(options?: { drainTimeout?: number }): Promise<void>
  /** The open tunnels. */
  readonly tunnels: ReadonlySet<Tunnel>
  /** The routes in order, with their hits. */
  readonly routes: readonly RouteStatus[]
  /** The balancers by name, with their members: states to read, and to change. */
  readonly balancers: ReadonlyMap<string, Balancer>
}

/** One request that a route matched. */
interface Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly match: Match
  readonly rewriting: Rewriting
  /** The whole path the client asked for. */
  readonly url: string
  /** When it came, on the clock of `performance`. */
  readonly startedAt: number
}

/** An upgrade under way; empty afterwards, for who is old and dead must lead to nobody (see {@link LinkedSet}). */
interface Handshake {
  pending: PendingUpgrade | undefined
  opening: Promise<unknown> | undefined
}

/** A plain request under way, with what gives it up. */
interface Forwarding {
  readonly done: Promise<boolean>
  readonly giveUp: () => void
}

/**
 * Reads the options and makes a proxy of them.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` that names the option, what was expected and what came.
 */
export function createTunnelProxy(options: WsTunnelOptions): TunnelProxy {
  return new RoutedProxy(resolveOptions(options), options.routes === undefined)
}

class RoutedProxy implements TunnelProxy {
  readonly #settings: Settings
  readonly #routes: RouteTable
  readonly #tunnels = new LinkedSet<Tunnel>()
  readonly #handshakes = new LinkedSet<Handshake>()
  readonly #forwards = new LinkedSet<Forwarding>()
  readonly #servers = new WeakMap<Server, () => void>()
  readonly #listening = new Set<WeakRef<Server>>()
  readonly #healthChecks: HealthChecks
  readonly #resolvedMembers: readonly ResolvedMembers[]
  #closing = false

  constructor(settings: Settings, single: boolean) {
    this.#settings = settings
    this.#routes = new RouteTable(settings, single)
    this.#healthChecks = new HealthChecks(settings, this.#routes.balancers)
    this.#resolvedMembers = Array.from(this.#routes.balancers.values(), balancer =>
      balancer.named.map(named => new ResolvedMembers(balancer, named)),
    ).flat()
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
    if (context.listen ?? true) this.#listen(req)
    try {
      const exchange = this.#match(req, res, context)
      if (exchange === null) return false
      const routing = exchange.match.destination()
      // A refusal below comes before anybody waits for it; its failure is then nobody's, and must not be the process's.
      if (routing instanceof Promise) routing.catch(() => {})
      const token = requestedUpgrade(req, settingsFor(routing, exchange.match.route))
      return token === undefined
        ? await this.#untilCut(exchange.res, this.#forward(exchange, routing, context.body))
        : await this.#upgrade(exchange, routing, token)
    } catch (error) {
      throw this.#failed(error, req, res)
    }
  }

  #match(
    req: IncomingMessage,
    res: ServerResponse,
    { mount = '', url: target = req.url ?? '/' }: HandleContext,
  ): Exchange | null {
    const url = new RequestUrl(target)
    const match = this.#routes.match(req, url)
    match?.route.hit()
    if (match === null || match.route.settings.target === false) return null
    if (this.#closing) throw new WsTunnelError('WST_ERR_CLOSING')
    checkRequest(req, url.authority)
    return {
      req,
      res,
      match,
      rewriting: new Rewriting(req, match.route.settings, this.#settings, mount),
      url: mount + target,
      startedAt: performance.now(),
    }
  }

  /** Settles with the request, or when it is given up. */
  #untilCut(res: ServerResponse, forward: Promise<boolean>): Promise<boolean> {
    const { promise: done, resolve, reject } = Promise.withResolvers<boolean>()
    const failed = (error: unknown): void => {
      this.#forwards.delete(forwarding)
      reject(error)
    }
    const giveUp = (): void => {
      // The request to the backend ends with the answer, be it the app's.
      if (res.headersSent) cut(res)
      else failed(new WsTunnelError('WST_ERR_CLOSING'))
    }
    const forwarding: Forwarding = { done, giveUp }
    this.#forwards.add(forwarding)
    forward.then(taken => {
      this.#forwards.delete(forwarding)
      resolve(taken)
    }, failed)
    return done
  }

  async #forward(
    { req, res, rewriting }: Exchange,
    found: Routing | Promise<Routing>,
    body: unknown,
  ): Promise<boolean> {
    const routing = await found
    if (routing === false) return false
    // Node has dropped what stood behind such a request in the same packet; the client must not wait for an answer to it.
    if (connectionUpgrade(req)) res.shouldKeepAlive = false
    if (routing instanceof LocalDestination) {
      await answerLocally(res, routing)
      return true
    }
    const unread = !req.readableDidRead
    let parsedBodySent = false
    try {
      await askInTurn(this, req, routing, {
        ask: async destination => {
          const leave = destination.enter()
          try {
            await forward(req, res, {
              worker: destination.worker,
              path: destination.path,
              headers: rewriting.plainRequest(destination),
              limits: destination.settings,
              body,
              onInterim: answer => relayInterim(res, answer, rewriting.interimAnswer(answer.rawHeaders)),
              onParsedBody: () => {
                parsedBodySent = true
              },
              onAnswer: response => relayAnswer(response, res, rewriting, destination),
            })
          } finally {
            leave()
          }
        },
        body: () => ({
          begun: unread ? req.readableDidRead : parsedBodySent,
          whole: !announcesBody(req) || req.complete,
        }),
      })
    } finally {
      discardRest(req)
    }
    return true
  }

  async #upgrade(exchange: Exchange, routing: Routing | Promise<Routing>, token: string): Promise<boolean> {
    const { req, res, match } = exchange
    checkOrigin(req, match.route.settings.allowedOrigins)
    const pending = new PendingUpgrade(req, res)
    const opening = this.#open(exchange, pending, routing, token)
    const handshake: Handshake = { pending, opening }
    this.#handshakes.add(handshake)
    try {
      return await opening
    } finally {
      this.#handshakes.delete(handshake)
      handshake.pending = handshake.opening = undefined
    }
  }

  async #open(
    exchange: Exchange,
    pending: PendingUpgrade,
    routing: Routing | Promise<Routing>,
    token: string,
  ): Promise<boolean> {
    const { req, res, match, rewriting } = exchange
    let leave = (): void => {}
    try {
      leave = match.route.enter()
      const found = await pending.unlessAborted(routing)
      if (found === false) {
        leave()
        pending.release()
        return false
      }
      if (found instanceof LocalDestination) {
        leave()
        pending.refuse()
        await answerLocally(res, found)
        return true
      }
      const {
        destination,
        answer,
        asked,
        leave: leaveBackend,
      } = await askInTurn(this, req, found, {
        ask: destination => this.#ask(exchange, pending, destination, token),
        patiently: next => pending.unlessAborted(next),
      })
      leave = both(leave, leaveBackend)
      if (answer.switched) {
        const tunnel = this.#switch(exchange, pending, destination, asked, answer)
        void destination.elected?.member.carry(tunnel)
        this.#keep(tunnel, leave)
        this.#opened(tunnel, req)
        return true
      }
      pending.refuse()
      await relayAnswer(answer.response, res, rewriting, destination)
      leave()
      return true
    } catch (error) {
      leave()
      pending.refuse()
      throw error
    }
  }

  async #ask(
    { req, res, rewriting }: Exchange,
    pending: PendingUpgrade,
    destination: Destination,
    token: string,
  ): Promise<{
    destination: Destination
    answer: Answer | DialledSwitch
    asked: string | undefined
    leave: () => void
  }> {
    const { settings } = destination
    // It may be another than the one by which the request became an upgrade.
    const asked = allowedToken(settings.upgrade, [token]) ?? requestedUpgrade(req, settings)
    const place = destination.enterTunnel(callback => pending.whenAborted(callback))
    const leave = place instanceof Promise ? await place : place
    try {
      const headers =
        asked === undefined ? rewriting.plainRequest(destination) : rewriting.upgradeRequest(destination, asked)
      const ask = {
        method: req.method ?? 'GET',
        path: destination.path,
        headers: headers.toRaw(),
      }
      const dials = mayDial(destination.worker, pending.leavable, settings)
      const trip = asked === undefined ? roundTrip : dials ? dialledTrip : socketTrip
      const answer = await trip(destination.worker, ask, settings, {
        interim: interim => relayInterim(res, interim, rewriting.interimAnswer(interim.rawHeaders)),
        started: part => pending.whenAborted(error => part.destroy(error)),
      })
      return { destination, answer, asked, leave }
    } catch (error) {
      leave()
      throw error
    }
  }

  #switch(
    exchange: Exchange,
    pending: PendingUpgrade,
    destination: Destination,
    token: string | undefined,
    answer: (Answer & { switched: true }) | DialledSwitch,
  ): Tunnel {
    const { req, match, rewriting, url, startedAt } = exchange
    const { response } = answer
    const backend = 'connection' in answer ? answer.connection : answer.socket
    const { settings } = destination
    try {
      pending.check()
      if (token === undefined) throw new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was asked for' })
      checkSwitch(response, token, settings.strictHandshake ? headerValue(req, 'sec-websocket-key') : undefined)
      const info = {
        clientAddress: clientAddress(req),
        url,
        route: match.route.index,
        target:
          destination.worker.origin.socketPath ?? `${destination.worker.origin.host}:${destination.worker.origin.port}`,
        member: destination.elected?.member.url,
        protocol: token,
        handshakeTime: performance.now() - startedAt,
      }
      const switched = pending.switch(response.statusMessage ?? '', rewriting.switchAnswer(response, destination))
      const own =
        'connection' in answer
          ? { connection: answer.connection, headSize: answer.headSize }
          : { backend: answer.socket, backendHead: [answer.head] }
      return new OpenTunnel({ client: pending.socket, ...own, ...switched }, info, settings)
    } catch (error) {
      backend.destroy()
      throw error
    }
  }

  #opened(tunnel: Tunnel, req: IncomingMessage): void {
    if (channels.open.hasSubscribers)
      channels.open.publish({ tunnel, req, proxy: this } satisfies DiagnosticsMessages['ws-tunnel:open'])
    observe(() => this.#settings.onOpen(tunnel))
  }

  /** Until it ends. Must not know the request: it would keep it in memory as long as the tunnel is open. */
  #keep(tunnel: Tunnel, leave: () => void): void {
    this.#tunnels.add(tunnel)
    void tunnel.ended.then(end => {
      this.#tunnels.delete(tunnel)
      leave()
      if (channels.close.hasSubscribers)
        channels.close.publish({ tunnel, end, proxy: this } satisfies DiagnosticsMessages['ws-tunnel:close'])
      observe(() => this.#settings.onClose(tunnel, end))
    })
  }

  /** What the app's error handler gets, with the header fields the answer must carry already on `res`. */
  #failed(error: unknown, req: IncomingMessage, res: ServerResponse): unknown {
    if (!(error instanceof WsTunnelError)) return error
    if (!res.headersSent && req.httpVersionMajor === 1) {
      for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value)
      if (error.statusCode === 400) res.shouldKeepAlive = false
    }
    if (channels.error.hasSubscribers)
      channels.error.publish({ error, req, proxy: this } satisfies DiagnosticsMessages['ws-tunnel:error'])
    observe(() => this.#settings.onError(error, req))
    return error
  }

  /** From the first request of a server on, its upgrades come through the app. */
  #listen(req: IncomingMessage): void {
    const { server } = req.socket as { server?: Server }
    if (typeof server?.emit !== 'function' || this.#servers.has(server) || this.#closing) return
    this.#servers.set(server, listenImplicitly(server, this.#settings.only))
    this.#listening.add(new WeakRef(server))
  }

  readonly close = async ({
    drainTimeout = this.#settings.drainTimeout,
  }: {
    drainTimeout?: number
  } = {}): Promise<void> => {
    this.#closing = true
    this.#healthChecks.close()
    for (const members of this.#resolvedMembers) members.stop()
    const cutAll = (): void => {
      for (const { giveUp } of this.#forwards) giveUp()
      for (const { pending } of this.#handshakes) pending?.abort(new WsTunnelError('WST_ERR_CLOSING'))
      for (const tunnel of this.tunnels) void tunnel.close('shutdown')
    }
    const timer = setTimeout(cutAll, Math.min(drainTimeout, MAX_DELAY))
    while (this.#handshakes.size + this.#forwards.size + this.tunnels.size > 0) {
      const ends = Array.from(this.tunnels, tunnel => tunnel.ended)
      await Promise.allSettled([
        ...Array.from(this.#handshakes, ({ opening }) => opening),
        ...Array.from(this.#forwards, ({ done }) => done),
        ...ends,
      ])
    }
    clearTimeout(timer)
    this.#routes.close()
    for (const reference of this.#listening) {
      const server = reference.deref()
      if (server !== undefined) this.#servers.get(server)?.()
    }
    this.#listening.clear()
  }
}

const both =
  (...calls: (() => void)[]): (() => void) =>
  () => {
    for (const call of calls) call()
  }

/** An observer that throws or rejects must not stop what it observes; the process hears of it as a warning. */
function observe(call: () => unknown): void {
  const warn = (error: unknown): void =>
    process.emitWarning(error instanceof Error ? error : String(error), 'WsTunnelWarning')
  try {
    Promise.resolve(call()).catch(warn)
  } catch (error) {
    warn(error)
  }
}
