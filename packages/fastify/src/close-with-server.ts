import type { FastifyInstance } from 'fastify'

type Close = () => Promise<void>

/**
 * The method that Avvio, Fastify's loader of plugins, adds to every instance. It is used after the start of Fastify, when
 * no hook can be added.
 */
interface AvvioInstance {
  onClose(close: Close): void
}

const closersOf = new WeakMap<object, Set<Close>>()

/**
 * Calls `close` before the server of a Fastify instance closes. A function that is passed several times is called once.
 * All functions of a server are called at the same time, so that several proxies take no longer to drain than one.
 */
export function closeWithServer(fastify: FastifyInstance, close: Close): void {
  const known = closersOf.get(fastify.server)
  const closers = known ?? new Set()
  closers.add(close)
  if (known !== undefined) return
  closersOf.set(fastify.server, closers)
  const closeAll = async (): Promise<void> => {
    await Promise.all(Array.from(closers, each => each()))
  }
  try {
    fastify.addHook('preClose', closeAll)
  } catch (error) {
    if ((error as { code?: string }).code !== 'FST_ERR_INSTANCE_ALREADY_LISTENING') throw error
    ;(fastify as unknown as AvvioInstance).onClose(closeAll)
  }
}
