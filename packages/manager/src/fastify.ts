import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { managerPage } from './manager.ts'
import type { ManagerOptions } from './options.ts'
import type { Proxies } from './util/proxies.ts'

/** Options of the plugin: those of the manager, the proxies to manage, and Fastify's own `prefix`. */
export type ManagerPluginOptions = Omit<ManagerOptions, 'path'> & {
  /** What to manage. `tunnelProxies(fastify)` of `@ws-tunnel/fastify` has every proxy of a server. */
  proxies: Proxies
  /**
   * The path of the plugin.
   *
   * @default ''
   */
  prefix?: string
}

/**
 * The manager as a plugin:
 * `fastify.register(managerPlugin, { prefix: '/manager', proxies: tunnelProxies(fastify), authorize })`.
 *
 * Hooks of the surrounding scope run before it. `fastify.close()` ends its live pages.
 *
 * @throws {TypeError} for wrong options, and if neither `authorize` nor `unsafeOpen: true` is set.
 */
export async function managerPlugin(fastify: FastifyInstance, options: ManagerPluginOptions): Promise<void> {
  const { proxies, prefix: _prefix, ...rest } = options
  const page = managerPage(proxies, { ...rest, path: fastify.prefix })
  fastify.addHook('preClose', () => page.close())
  await page.ready
  // The manager reads bodies itself, with its own limit.
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null))
  const handler = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    new Promise((resolve, reject) => {
      for (const [name, value] of Object.entries(reply.getHeaders()))
        if (value !== undefined) reply.raw.setHeader(name, value)
      reply.raw.once('close', () => {
        reply.hijack()
        resolve(reply)
      })
      page(request.raw, reply.raw, reject)
    })
  const method = ['GET', 'POST']
  fastify.route({ method, url: '/', handler, prefixTrailingSlash: 'both' })
  fastify.route({ method, url: '/*', handler })
}
