import { type Channel, channel } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import type { Logger } from '../options/events.ts'

/** The channels that a proxy publishes on. Members publish on theirs. */
export const channels = {
  open: channel('ws-tunnel:open'),
  adopted: channel('ws-tunnel:adopted'),
  close: channel('ws-tunnel:close'),
  error: channel('ws-tunnel:error'),
  response: channel('ws-tunnel:response'),
  failover: channel('ws-tunnel:failover'),
}

/** Gives a message to the subscribers of a channel and to the callback of the options. */
export function notify<M>(to: Channel, callback: (message: M) => unknown, message: M): void {
  if (to.hasSubscribers) to.publish(message)
  try {
    Promise.resolve(callback(message)).catch(warn)
  } catch (error) {
    warn(error)
  }
}

/** Gives a line to the logger of the options. */
export function log(logger: Logger | undefined, level: keyof Logger, line: string): void {
  try {
    logger?.[level](line)
  } catch (error) {
    warn(error)
  }
}

/** A path without its query, which may hold secrets. */
export const withoutQuery = (url: string): string => url.replace(/\?.*/s, '')

/** The path of a request as the client wrote it, for a line of the log. */
export function pathOf(req: IncomingMessage): string {
  const { originalUrl = req.url ?? '/' } = req as { originalUrl?: string } & IncomingMessage
  return withoutQuery(originalUrl)
}

/** A callback that throws or rejects must not stop what it observes. The process gets a warning. */
function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), 'WsTunnelWarning')
}
