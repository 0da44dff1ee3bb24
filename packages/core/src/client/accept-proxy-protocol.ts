import type { Server, Socket } from 'node:net'
import { compile } from 'proxy-addr'
import { WsTunnelError } from '../errors.ts'
import { type ProxyHeader, readProxyHeader } from '../http/proxy-protocol.ts'
import { checked, duration, isRecord, wrong } from '../options/checks.ts'

/** Options of {@link acceptProxyProtocol}. */
export interface ProxyProtocolOptions {
  /**
   * Addresses of the load balancers, as `proxy-addr` reads them: addresses, subnets, `'loopback'`, `'uniquelocal'`. Each of their connections
   * must begin with a header. Other connections have none (RemoteIPProxyProtocolExceptions).
   */
  from: string | readonly string[]
  /** Time limit for the whole header, ms; the connection then ends. @default 5000 */
  timeout?: number
}

const CHECKS = {
  from: (where: string, value: unknown) => {
    const all = typeof value === 'string' ? [value] : value
    if (!Array.isArray(all) || all.length === 0 || !all.every(each => typeof each === 'string'))
      throw wrong(where, 'an address, a subnet, or a list of them', value)
  },
  timeout: (where: string, value: unknown) => {
    duration(where, value)
    if (value === 0) throw wrong(where, 'more than 0 ms, because the wait for a header must end', value)
  },
}

/**
 * Reads the PROXY protocol, version 1 or 2, of load balancers in front of a server: `RemoteIPProxyProtocol` of httpd, `send-proxy` of HAProxy. The
 * address of the client is then that of the header, for `req.socket.remoteAddress`, `X-Forwarded-For` and `trustProxy` alike. A header
 * without an address (`UNKNOWN`, `LOCAL`) changes nothing. A connection without a header, or with a malformed one, ends without a response.
 *
 * @param server of `node:http`, `node:https` or `node:http2`, such as `fastify.server`, before it listens
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function acceptProxyProtocol(server: Server, options: ProxyProtocolOptions): void {
  if (!isRecord(options)) throw wrong('options', 'an object with from', options)
  const given = checked('', options, CHECKS) as Partial<ProxyProtocolOptions>
  const { from, timeout = 5_000 } = given
  if (from === undefined) throw wrong('from', 'given', undefined)
  const isTrusted = compileFrom(from)
  const emit = server.emit
  // Not a `connection` listener: those of Node and of the app must not see the connection before its header is read.
  server.emit = ((event: string, ...values: unknown[]): boolean => {
    const [socket] = values as [Socket]
    if (event !== 'connection' || !isTrusted(socket.remoteAddress ?? '127.0.0.1', 0))
      return Reflect.apply(emit, server, [event, ...values])
    readHeader(socket, timeout, () => Reflect.apply(emit, server, [event, socket]))
    return true
  }) as typeof emit
}

function compileFrom(from: string | readonly string[]): (address: string, hop: number) => boolean {
  try {
    return compile(typeof from === 'string' ? from.split(/\s*,\s*/) : [...from])
  } catch (cause) {
    throw new WsTunnelError('WST_ERR_OPTION', { detail: `\`from\`: ${(cause as Error).message}`, cause })
  }
}

function readHeader(socket: Socket, timeout: number, then: () => void): void {
  let bytes = Buffer.alloc(0)
  const destroy = (): void => void socket.destroy()
  const timer = setTimeout(destroy, timeout)
  const socketOnData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk])
    let header: ProxyHeader | undefined
    try {
      header = readProxyHeader(bytes)
    } catch {
      destroy()
      return
    }
    if (header === undefined) return
    stop()
    socket.pause()
    if (header.client !== undefined) rename(socket, header.client)
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
    then()
    // TLS and HTTP/2 take the connection from the socket. HTTP/1.1 waits for it to flow.
    if (socket.listenerCount('data') > 0) socket.resume()
  }
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('data', socketOnData).off('end', destroy).off('error', destroy).off('close', stop)
  }
  socket.on('data', socketOnData).on('end', destroy).on('error', destroy).on('close', stop)
}

/** Node asks the handle for the address, also through TLS and HTTP/2. The properties replace what the socket has remembered. */
function rename(socket: Socket, { address, port, family }: NonNullable<ProxyHeader['client']>): void {
  const { _handle: handle } = socket as Socket & { _handle?: { getpeername?: (out: object) => number } }
  if (handle)
    handle.getpeername = out => {
      Object.assign(out, { address, port, family })
      return 0
    }
  Object.defineProperties(socket, {
    remoteAddress: { value: address, configurable: true },
    remotePort: { value: port, configurable: true },
    remoteFamily: { value: family, configurable: true },
  })
}
