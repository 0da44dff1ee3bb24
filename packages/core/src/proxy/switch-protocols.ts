import type { IncomingMessage } from 'node:http'
import { addressOf } from '../backend/target.ts'
import type { PendingUpgrade } from '../client/pending-upgrade.ts'
import { WsTunnelError } from '../errors.ts'
import { peerAddress } from '../http/client-address.ts'
import { headerValue } from '../http/header-list.ts'
import { isExtendedConnect } from '../http/http2.ts'
import { checkSwitch } from '../http/upgrade.ts'
import { show } from '../options/checks.ts'
import type { RouteSettings } from '../options/route-options.ts'
import { OpenTunnel } from '../tunnel/open-tunnel.ts'
import type { Exchange } from './exchange.ts'
import type { SwitchedReply } from './round-trip.ts'

/**
 * Checks the backend's 101, writes it to the client and joins the two connections.
 *
 * @throws {WsTunnelError} `WST_ERR_BAD_SWITCH` for a 101 that was not requested. The backend's connection is then closed.
 */
export function switchProtocols(exchange: Exchange, reply: SwitchedReply): OpenTunnel {
  const { req, match, rewriting, url, startedAt, signal } = exchange
  const { response, candidate, token } = reply
  const { settings, worker, selection } = candidate
  const backend = 'connection' in reply ? reply.connection : reply.socket
  try {
    signal.throwIfAborted()
    if (token === undefined) throw new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: 'no upgrade was requested' })
    // A client of HTTP/2 sends no key, and gets no Sec-WebSocket-Accept that it could check.
    const checksAccept = settings.strictHandshake || isExtendedConnect(req)
    checkSwitch(response, token, checksAccept ? headerValue(req, 'sec-websocket-key') : undefined)
    const info = {
      clientAddress: peerAddress(req),
      url,
      route: match.route.index,
      target: addressOf(worker.origin),
      member: selection?.member.url,
      protocol: token,
      handshakeTime: performance.now() - startedAt,
    }
    const deadline = deadlineOf(req, match.route.settings)
    const client = exchange.upgrade as PendingUpgrade
    const headers = rewriting.switchResponse(response, candidate)
    const switched = client.switch(response.statusMessage ?? '', headers, 'connection' in reply)
    const own =
      'connection' in reply
        ? { connection: reply.connection, headSize: reply.headSize }
        : { backend: reply.socket, backendHead: [reply.head] }
    return new OpenTunnel({ client: client.socket, ...own, ...switched }, info, settings, {
      deadline,
      key: exchange.key,
    })
  } catch (error) {
    backend.destroy()
    throw error
  }
}

/**
 * When the tunnel ends at the latest, ms since the epoch.
 *
 * @throws {WsTunnelError} `WST_ERR_CALLBACK` if the function fails.
 */
function deadlineOf(req: IncomingMessage, { deadline }: RouteSettings): number | undefined {
  if (deadline === undefined) return undefined
  let given: unknown
  try {
    given = deadline(req)
  } catch (cause) {
    if (cause instanceof WsTunnelError) throw cause
    throw new WsTunnelError('WST_ERR_CALLBACK', { detail: `deadline threw ${String(cause)}`, cause })
  }
  if (given === undefined) return undefined
  const at = given instanceof Date ? given.getTime() : Date.now() + (typeof given === 'number' ? given : Number.NaN)
  if (!Number.isNaN(at)) return at
  throw new WsTunnelError('WST_ERR_CALLBACK', {
    detail: `deadline returned ${show(given)}, expected ms, a Date or undefined`,
  })
}
