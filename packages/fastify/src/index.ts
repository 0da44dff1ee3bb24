import { type IncomingMessage, METHODS } from 'node:http'
import {
  createTunnelProxy,
  type HandoverOptions,
  handOver,
  listenForUpgrades,
  type TunnelProxy,
  WsTunnelError,
  type WsTunnelOptions,
  withRequests,
} from '@ws-tunnel/core'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  RouteHandlerMethod,
  RouteShorthandOptions,
} from 'fastify'
import fp from 'fastify-plugin'
import { closeWithServer } from './close-with-server.ts'

export * from '@ws-tunnel/core'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The proxies of this server, one for each registration of `wsTunnelPlugin` in any scope. The first registration
     * adds the decorator; {@link tunnelProxies} works before it too. The proxies of route handlers are not included.
     */
    readonly tunnelProxies: ReadonlySet<TunnelProxy>
  }
}

/** Options of the plugin: those of the proxy, whose functions get the request of Fastify, and Fastify's own. */
export type WsTunnelPluginOptions = WsTunnelOptions<FastifyRequest> & {
  /**
   * The path at which the plugin is registered. It is removed from the request's path, as `app.use` does. @default ''
   */
  prefix?: string
  /** Route constraints of Fastify, such as `{ host: 'chat.example' }`. */
  constraints?: Record<string, unknown>
  /** Hooks of Fastify that run after those of the scope, for requests and upgrades. */
  preHandler?: RouteShorthandOptions['preHandler']
  /** What hooks read as `request.routeOptions.config`. */
  config?: RouteShorthandOptions['config']
  /** The methods that the plugin serves. Upgrades need `GET`. @default all */
  httpMethods?: string[]
  /**
   * Takes the listener and the live tunnels of the process that serves now over when `fastify.listen` is called, and hands them over to the
   * next process. A path is that of the unix socket through which they find each other. One registration gives it for the whole server.
   * @default undefined: the process does neither
   */
  handover?: string | HandoverOptions
}

/** A route handler with `close`, `ready`, `tunnels`, `routes` and `balancers` of its proxy. */
export type WsTunnelHandler = RouteHandlerMethod &
  Pick<TunnelProxy, 'close' | 'ready' | 'tunnels' | 'routes' | 'balancers'>

/**
 * ProxyPass as a plugin: `fastify.register(wsTunnelPlugin, { prefix: '/chat', target: 'ws://chat:9000/' })`. The hooks
 * of the surrounding scope run for upgrades as for other requests. `fastify.close()` drains the tunnels.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and for a second registration at the same prefix.
 */
export const wsTunnelPlugin: FastifyPluginAsync<WsTunnelPluginOptions> = fp(register, {
  name: '@ws-tunnel/fastify',
  fastify: '5.x',
  encapsulate: true,
})

export default wsTunnelPlugin

/**
 * Returns the set of the decorator `fastify.tunnelProxies`. Adds the decorator if no plugin has been registered yet.
 */
export function tunnelProxies(fastify: FastifyInstance): ReadonlySet<TunnelProxy> {
  if (!fastify.hasDecorator('tunnelProxies')) rootOf(fastify).decorate('tunnelProxies', new Set<TunnelProxy>())
  return fastify.tunnelProxies
}

/** The server itself: the instances of its scopes inherit from it, so all of them have its decorators. */
function rootOf(fastify: FastifyInstance): FastifyInstance {
  let root = fastify
  while (!Object.hasOwn(root, 'server')) root = Object.getPrototypeOf(root)
  return root
}

async function register(fastify: FastifyInstance, options: WsTunnelPluginOptions): Promise<void> {
  const { prefix: _prefix, constraints = {}, handover, preHandler, config, httpMethods, ...proxyOptions } = options
  const { prefix } = fastify
  const proxy = createFor(proxyOptions as WsTunnelOptions<FastifyRequest>)
  if (handover !== undefined) handOver(fastify.server, handover)
  const proxies = tunnelProxies(fastify) as Set<TunnelProxy>
  proxies.add(proxy)
  const stopListening = listenForUpgrades(fastify.server as never, fastify.routing as never, {
    ...(options.only === undefined ? {} : { only: options.only }),
    claims: req => claimsBelow(proxy, prefix, req),
  })
  closeWithServer(fastify, async () => {
    await proxy.close()
    proxies.delete(proxy)
    stopListening()
  })
  streamBodies(fastify)
  fastify.addHook('onRequest', passUnreadableTypes)
  const known = allMethods(fastify)
  const route = {
    method: httpMethods ?? known,
    constraints,
    exposeHeadRoute: false,
    ...(preHandler === undefined ? {} : { preHandler }),
    ...(config === undefined ? {} : { config }),
  }
  const handler = handlerOf(proxy, url => withoutPrefix(url, prefix), false)
  try {
    fastify.route({ ...route, url: '/', handler, prefixTrailingSlash: 'both' })
    fastify.route({ ...route, url: '/*', handler })
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'FST_ERR_DUPLICATED_ROUTE') throw cause
    throw new WsTunnelError('WST_ERR_OPTION', {
      detail: `Routes at prefix ${JSON.stringify(prefix || '/')} exist already; use one registration with several \`routes\``,
      cause,
    })
  }
}

/**
 * A proxy as the handler of one route: `fastify.get('/live', { preHandler: auth }, wsTunnelHandler({ target }))`.
 * Nothing is removed from the path. `fastify.close()` drains the tunnels. Several routes of one server may share a
 * handler.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export function wsTunnelHandler(options: WsTunnelOptions<FastifyRequest>): WsTunnelHandler {
  const proxy = createFor(options)
  const { close, tunnels, routes, balancers } = proxy
  const closeProxy = (): Promise<void> => close()
  const handle = handlerOf(proxy, url => url, true)
  const handler: RouteHandlerMethod = function (request, reply) {
    closeWithServer(request.server, closeProxy)
    return handle.call(this, request, reply)
  }
  // Fastify calls `bind` on the handler of a route, with the instance that the route belongs to. Before the first request
  // this call alone shows the server. If a tracing plugin wraps the handler, Fastify binds the wrapper instead.
  const bind = (self: unknown, ...given: unknown[]): unknown => {
    const bound = isInstance(self) ? handle : handler
    if (isInstance(self)) closeWithServer(self, closeProxy)
    return Function.prototype.bind.call(bound, self, ...given)
  }
  Object.defineProperty(handler, 'bind', { value: bind })
  const ready = { get: () => proxy.ready, enumerable: true }
  return Object.defineProperty(
    Object.assign(handler, { close, tunnels, routes, balancers, ready: true }),
    'ready',
    ready,
  )
}

/** The request of Fastify, by the request of Node. */
const requests = new WeakMap<IncomingMessage, FastifyRequest>()

/**
 * A proxy whose functions get the request of Fastify. Before Fastify has one, and in `explain`, they get that of Node: a server with
 * other `upgrade` listeners asks the routes whose an upgrade is.
 */
function createFor(options: WsTunnelOptions<FastifyRequest>): TunnelProxy {
  return createTunnelProxy(
    withRequests(options, (req: IncomingMessage) => requests.get(req) ?? (req as unknown as FastifyRequest)),
  )
}

const isInstance = (value: unknown): value is FastifyInstance =>
  typeof value === 'object' && value !== null && 'addHook' in value && 'server' in value

function handlerOf(proxy: TunnelProxy, urlBelow: (url: string) => string, listen: boolean): RouteHandlerMethod {
  return async function wsTunnelRoute(request: FastifyRequest, reply: FastifyReply) {
    const { raw: req } = request
    requests.set(req, request)
    settleHeaders(request)
    const target = req.url ?? '/'
    const path = target.startsWith('/') ? target : target.replace(ORIGIN, '')
    const url = urlBelow(path)
    // Fastify does not store the fields that hooks set in the raw response.
    const headers = reply.getHeaders()
    for (const name in headers) {
      const value = headers[name as keyof typeof headers]
      if (value !== undefined) reply.raw.setHeader(name, value)
    }
    let handled: boolean
    try {
      handled = await proxy.handle(req, reply.raw, {
        mount: mountOf(path, url),
        url,
        paths: 'exact',
        body: request.body,
        rawBody: (request as { rawBody?: unknown }).rawBody,
        listen,
      })
    } catch (error) {
      if (!(error instanceof WsTunnelError)) throw error
      reply.headers(error.headers)
      throw error.expose ? error : shortened(error)
    }
    if (!handled) {
      reply.callNotFound()
      return reply
    }
    return reply.hijack()
  }
}

/** Fastify sends the message of an error to the client. What is for the operator is in `cause`, which Fastify logs. */
function shortened(error: WsTunnelError): WsTunnelError {
  const { code, headers, statusCode, target, member, route } = error
  const short = new WsTunnelError(code, { headers, statusCode, cause: error, target, member, route })
  short.message = new WsTunnelError(code).message
  return short
}

/** Scheme and host of an absolute-form request target. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i

const withoutPrefix = (path: string, prefix: string): string =>
  prefix === '' ? path : path.slice(coveredLength(path, prefix))

/**
 * How many characters of the path the prefix covers. Each parameter of a prefix (`/rooms/:id`) covers one segment.
 */
function coveredLength(path: string, prefix: string): number {
  const segments = prefix.replace(/\/$/, '').split('/').length - 1
  let at = 0
  for (let i = 0; i < segments; i++) {
    while (path[at + 1] === '/') at++
    const next = path.slice(at + 1).search(/[/?]/)
    at = next === -1 ? path.length : at + 1 + next
  }
  return at
}

const mountOf = (path: string, below: string): string => path.slice(0, path.length - below.length)

/** Whether the path of an upgrade is below the prefix and leads to a route of the proxy. */
function claimsBelow(proxy: TunnelProxy, prefix: string, req: IncomingMessage): boolean | undefined {
  const path = (req.url ?? '/').replace(ORIGIN, '')
  const mount = path.slice(0, coveredLength(path, prefix))
  const written = prefix.replace(/\/$/, '').split('/')
  const found = mount.split('/')
  const isBelow =
    found.length === written.length && written.every((text, i) => text.startsWith(':') || text === found[i])
  return isBelow ? proxy.claims(req, { mount, url: path.slice(mount.length) }) : false
}

/** Makes Fastify leave bodies unread, whatever their type and size, because they are streamed to the backend. */
function streamBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null))
}

/** What `passUnreadableTypes` has replaced, until the handler puts it back. */
const replacedTypes = new WeakMap<IncomingMessage, { original: string | undefined }>()

const READABLE_TYPE = 'application/octet-stream'

/** Replaces a missing or malformed `Content-Type`, which Fastify would refuse. */
function passUnreadableTypes(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  const { headers, method } = request.raw
  const body = 'content-length' in headers || 'transfer-encoding' in headers || method === 'QUERY'
  if (body && !/^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+[ \t]*(?:;|$)/.test(headers['content-type'] ?? '')) {
    replacedTypes.set(request.raw, { original: headers['content-type'] })
    headers['content-type'] = READABLE_TYPE
  }
  done()
}

/**
 * Puts the header fields of a request on the raw one, as the hooks have left them: the proxy sends those. Hooks may have
 * assigned `request.headers`, which Fastify keeps apart. The original `Content-Type` is for the backend to decide about.
 */
function settleHeaders(request: FastifyRequest): void {
  const { raw } = request
  if (request.headers !== raw.headers) Object.assign(raw.headers, request.headers)
  const replaced = replacedTypes.get(raw)
  if (replaced === undefined || raw.headers['content-type'] !== READABLE_TYPE) return
  if (replaced.original === undefined) delete raw.headers['content-type']
  else raw.headers['content-type'] = replaced.original
}

/** Every method that Node parses except CONNECT, which never reaches a route. */
function allMethods(fastify: FastifyInstance): string[] {
  const methods = METHODS.filter(method => method !== 'CONNECT')
  for (const method of methods) {
    if (!fastify.supportedMethods.includes(method)) fastify.addHttpMethod(method, { hasBody: true })
  }
  return methods
}
