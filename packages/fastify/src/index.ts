import { METHODS } from 'node:http'
import {
  createTunnelProxy,
  listenForUpgrades,
  type TunnelProxy,
  WsTunnelError,
  type WsTunnelOptions,
} from '@ws-tunnel/core'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import fp from 'fastify-plugin'

export * from '@ws-tunnel/core'

/** Options of the plugin: those of the tunnel, and Fastify's own. */
export type WsTunnelPluginOptions = WsTunnelOptions & {
  /** Where the plugin is registered; taken off the path, as `app.use` does. @default '' */
  prefix?: string
  /** Route constraints of Fastify, such as `{ host: 'chat.example' }`. */
  constraints?: Record<string, unknown>
}

/** A route handler with the proxy's `close`, `tunnels`, `routes` and `balancers`. */
export type WsTunnelHandler = RouteHandlerMethod & Pick<TunnelProxy, 'close' | 'tunnels' | 'routes' | 'balancers'>

/**
 * ProxyPass and its kin as a plugin: `fastify.register(wsTunnelPlugin, { prefix: '/chat', target: 'ws://chat:9000/' })`.
 * Hooks of the surrounding scope run for upgrades as for requests; `fastify.close()` drains.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export const wsTunnelPlugin: FastifyPluginAsync<WsTunnelPluginOptions> = fp(register, {
  name: '@ws-tunnel/fastify',
  fastify: '5.x',
  encapsulate: true,
})

const proxiesOf = new WeakMap<object, Set<TunnelProxy>>()

/**
 * The proxies of a Fastify server, one for each registration of the plugin, from any of its scopes. Those of route handlers
 * are not among them: a handler has `tunnels` and `routes` itself.
 */
export function tunnelProxies(fastify: FastifyInstance): ReadonlySet<TunnelProxy> {
  const known = proxiesOf.get(fastify.server) ?? new Set()
  proxiesOf.set(fastify.server, known)
  return known
}

async function register(fastify: FastifyInstance, options: WsTunnelPluginOptions): Promise<void> {
  const { prefix: _prefix, constraints = {}, ...tunnelOptions } = options
  const { prefix } = fastify
  const proxy = createTunnelProxy(tunnelOptions as WsTunnelOptions)
  const proxies = tunnelProxies(fastify) as Set<TunnelProxy>
  proxies.add(proxy)
  const undo = listenForUpgrades(fastify.server as never, fastify.routing as never, {
    ...(options.only === undefined ? {} : { only: options.only }),
  })
  fastify.addHook('preClose', async () => {
    await proxy.close()
    proxies.delete(proxy)
    undo()
  })
  streamBodies(fastify)
  fastify.addHook('onRequest', passUnreadableTypes)
  const method = allMethods(fastify)
  const handler = handlerOf(proxy, url => withoutPrefix(url, prefix), false)
  try {
    fastify.route({ method, url: '/', handler, constraints, exposeHeadRoute: false, prefixTrailingSlash: 'both' })
    fastify.route({ method, url: '/*', handler, constraints, exposeHeadRoute: false })
  } catch (cause) {
    if ((cause as { code?: string }).code !== 'FST_ERR_DUPLICATED_ROUTE') throw cause
    throw new WsTunnelError('WST_ERR_OPTION', {
      detail: `Routes at prefix ${JSON.stringify(prefix || '/')} exist already; give one registration several targets by \`routes\``,
      cause,
    })
  }
}

/**
 * The tunnel as the handler of one route: `fastify.get('/live', { preHandler: auth }, wsTunnelHandler({ target }))`. The
 * path is not stripped. Add `fastify.addHook('preClose', () => handler.close())` to drain it.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options.
 */
export function wsTunnelHandler(options: WsTunnelOptions): WsTunnelHandler {
  const proxy = createTunnelProxy(options)
  return Object.assign(
    handlerOf(proxy, url => url, true),
    { close: proxy.close, tunnels: proxy.tunnels, routes: proxy.routes, balancers: proxy.balancers },
  )
}

function handlerOf(proxy: TunnelProxy, below: (url: string) => string, listen: boolean): RouteHandlerMethod {
  return async function wsTunnelRoute(request: FastifyRequest, reply: FastifyReply) {
    const { raw: req } = request
    const url = below(req.url ?? '/')
    // What hooks have put on the reply goes out with our answer; Fastify keeps it apart from the raw response.
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) reply.raw.setHeader(name, value)
    let taken: boolean
    try {
      taken = await proxy.handle(req, reply.raw, {
        mount: mountOf(req.url ?? '/', url),
        url,
        body: request.body,
        listen,
      })
    } catch (error) {
      if (error instanceof WsTunnelError) reply.headers(error.headers)
      throw error
    }
    if (!taken) {
      reply.callNotFound()
      return reply
    }
    return reply.hijack()
  }
}

function withoutPrefix(url: string, prefix: string): string {
  const [, origin = '', path = url] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]*)(.*)$/is.exec(url) ?? []
  return origin + path.slice(literalLength(path, prefix))
}

/** A prefix may hold parameters (`/rooms/:id`), which cover a segment each. */
function literalLength(path: string, prefix: string): number {
  const segments = prefix.replace(/\/$/, '').split('/').length - 1
  let at = 0
  for (let i = 0; i < segments; i++) {
    while (path[at + 1] === '/') at++
    const next = path.slice(at + 1).search(/[/?]/)
    at = next === -1 ? path.length : at + 1 + next
  }
  return at
}

function mountOf(url: string, below: string): string {
  if (url.endsWith(below)) return url.slice(0, url.length - below.length)
  return url.split('?', 1)[0] as string
}

/** Bodies are streamed through, whatever their type and size. */
function streamBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null))
}

/** Whether a Content-Type is missing or malformed is the backend's to judge; it gets the raw field, Fastify a stand-in. */
function passUnreadableTypes(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  const { headers, method } = request.raw
  const body = 'content-length' in headers || 'transfer-encoding' in headers || method === 'QUERY'
  if (body && !/^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+[ \t]*(?:;|$)/.test(headers['content-type'] ?? ''))
    headers['content-type'] = 'application/octet-stream'
  done()
}

/** Every method Node parses; CONNECT never reaches a route. */
function allMethods(fastify: FastifyInstance): string[] {
  const methods = METHODS.filter(method => method !== 'CONNECT')
  for (const method of methods) {
    if (!fastify.supportedMethods.includes(method)) fastify.addHttpMethod(method, { hasBody: true })
  }
  return methods
}
