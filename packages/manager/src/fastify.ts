import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { managerPage } from './manager.ts'
import type { ManagerOptions } from './options.ts'
import type { Proxies } from './util/proxies.ts'

/** Options of the plugin: those of the manager, what it manages, and Fastify's own. */
export type ManagerPluginOptions = Omit<ManagerOptions, 'path'> & {
  /** What to manage; `tunnelProxies(fastify)` of `@ws-tunnel/fastify` is all of a server. */
  proxies: Proxies
  /** Where the plugin is registered. @default '' */
  prefix?: string
}

/**
 * The manager as a plugin: `fastify.register(managerPlugin, { prefix: '/manager', proxies: tunnelProxies(fastify), authorize })`.
 * Hooks of the surrounding scope run in front of it; `fastify.close()` ends its live pages.
 *
 * @throws {TypeError} for wrong options, and without `authorize` or `unsafeOpen: true`.
 */
export async function managerPlugin(fastify: FastifyInstance, options: ManagerPluginOptions): Promise<void> {
  const { proxies, prefix: _prefix, ...rest } = options
  const page = managerPage(proxies, { ...rest, path: fastify.prefix })
  fastify.addHook('preClose', () => page.close())
  await page.ready
  // The manager reads its bodies itself, with its own limit.
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
