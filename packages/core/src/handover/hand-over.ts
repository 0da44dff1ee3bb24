import type { ListenOptions, Server } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import { Handover, type HandoverOptions } from './handover.ts'

type Listening = Server & { listen: (...args: never[]) => Server }

/**
 * Makes a server take over from the process that serves now when `listen` is called, and hand over to the next process.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION` for wrong options, and for a server that listens already
 */
export function handOver(server: Server, options: string | HandoverOptions): void {
  if (server.listening) {
    const detail =
      '`handover`: the server listens already. Call `listen` after it, so that it can take the listener over'
    throw new WsTunnelError('WST_ERR_OPTION', { detail })
  }
  const handover = new Handover(options)
  const take = async (wanted: ListenOptions): Promise<void> => {
    try {
      await handover.begin()
      delete (server as Partial<Listening>).listen
      await handover.listen(server, wanted)
      await handover.complete()
    } catch (error) {
      handover.abort()
      server.emit('error', error)
    }
  }
  ;(server as Listening).listen = (...args: unknown[]) => {
    const callback = args.findLast(arg => typeof arg === 'function')
    if (callback !== undefined) server.once('listening', callback as () => void)
    void take(listenOptions(args))
    return server
  }
}

/** The forms of `server.listen`: options, a port with a host and a backlog, or a path. */
function listenOptions(args: readonly unknown[]): ListenOptions & { fd?: number } {
  const [first, ...rest] = args.filter(arg => typeof arg !== 'function')
  if (typeof first === 'object' && first !== null) return first
  if (typeof first === 'string' && !/^\d+$/.test(first)) return { path: first }
  const host = rest.find(arg => typeof arg === 'string')
  const backlog = rest.find(arg => typeof arg === 'number')
  return { port: Number(first ?? 0), ...(host !== undefined && { host }), ...(backlog !== undefined && { backlog }) }
}
