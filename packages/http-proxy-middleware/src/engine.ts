import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FallbackEngine } from '@ws-tunnel/core'
import type { PlainResponse, PlainTrip } from '@ws-tunnel/core/engine'
import {
  createProxyMiddleware,
  loggerPlugin,
  type Options,
  type Plugin,
  proxyEventsPlugin,
} from 'http-proxy-middleware'
import { Attempt, type AttemptEngine } from './attempt.ts'
import { backendUrl } from './backend-url.ts'
import { callListeners, type ProxyServer } from './listeners.ts'
import type { HpmOptions } from './options.ts'
import { type ResponseRewriter, responseRewriter } from './response-rewriting.ts'

type Listener = (...args: unknown[]) => unknown

/** The options of http-proxy-middleware without those that it gives to plugins, listeners and responses. */
type SentOptions = Pick<Options, 'headers' | 'auth'>

/** One set of options of http-proxy-middleware, for any number of routes. */
export class HpmEngine implements FallbackEngine, AttemptEngine {
  readonly server: ProxyServer
  readonly sent: SentOptions
  readonly selfHandles: boolean
  readonly rewrite: ResponseRewriter | undefined
  /** The backend of the last failure of a request. */
  readonly #failedTargets = new WeakMap<IncomingMessage, URL>()

  constructor(options: HpmOptions) {
    const { plugins = [], ejectPlugins = false, logger, headers, auth, selfHandleResponse = false } = options
    let created: ProxyServer | undefined
    const keepServer: Plugin = server => {
      created = server as unknown as ProxyServer
    }
    const usual = [proxyEventsPlugin, ...(logger === undefined ? [] : [loggerPlugin])] as Plugin[]
    createProxyMiddleware({
      ...(options as Options),
      // Plugins may read it. Each request gets its own.
      target: 'http://backend.invalid',
      // The other plugins of http-proxy-middleware respond to errors, which is up to `on.error` and the app.
      ejectPlugins: true,
      plugins: [keepServer, ...(ejectPlugins ? [] : usual), ...plugins],
    })
    this.server = created as ProxyServer
    this.sent = { ...(headers && { headers }), ...(auth !== undefined && { auth }) }
    this.selfHandles = selfHandleResponse
    this.rewrite = responseRewriter(options)
    // Without a listener for `error`, httpxy would reject a promise for each failure.
    this.server.prependListener('error', noop)
    this.server.emit = this.#emit as never
  }

  /**
   * The `emit` of the server. Its listeners get the request and the response of the client, and an exception of one does not
   * end the process. Those of `error` are not called here, because another backend may get the request.
   */
  readonly #emit = (event: string, ...args: unknown[]): boolean => {
    const { server } = this
    if (server.listenerCount(event as never) === 0) return false
    const attempt = args.find(arg => arg instanceof Attempt)
    if (attempt === undefined) return EventEmitter.prototype.emit.call(server, event, ...args)
    if (event === 'error') attempt.onError(args[0] as Error)
    else callListeners(server, event, ofClient(args, attempt), attempt)
    return true
  }

  /** Sends a request to one backend: a `PlainEngine`. */
  readonly send = (trip: PlainTrip): Promise<PlainResponse> =>
    new Promise((resolve, reject) => new Attempt(this, trip, resolve, reject).start())

  /** Notes which backend has failed, for the listeners of `error`. */
  noteFailure(trip: PlainTrip): void {
    if (this.server.listenerCount('error') > 1) this.#failedTargets.set(trip.req, backendUrl(trip))
  }

  /**
   * Calls the listeners of `error`. They get Node's error, if there is one, and may return a promise.
   *
   * @returns whether they respond: they have begun a response or set its status.
   */
  readonly failed = async (error: Error, req: IncomingMessage, res: ServerResponse): Promise<boolean> => {
    const { statusCode } = res
    const cause = error.cause instanceof Error ? error.cause : error
    const target = this.#failedTargets.get(req)
    for (const listener of this.server.listeners('error'))
      await Reflect.apply(listener as Listener, this.server, [cause, req, res, target])
    return res.headersSent || res.writableEnded || res.statusCode !== statusCode
  }
}

const noop = (): void => {}

/** The arguments of an event, with the request and the response of the client for the attempt that stands for both. */
function ofClient(args: readonly unknown[], attempt: Attempt): unknown[] {
  const { req, res } = attempt.trip
  let found = false
  return args.map(arg => {
    if (arg !== attempt) return arg
    const first = !found
    found = true
    return first ? req : res
  })
}
