import type { IncomingMessage } from 'node:http'
import { plainAddress } from '../util/plain-address.ts'
import { fieldLines } from './app-fields.ts'
import { listMembers } from './header-list.ts'

/** Whether a peer is trusted to name the address of its client. */
export type Trusts = (address: string, hop: number) => boolean

/** The address of the client's end of the connection; `''` for a unix socket, and for a connection that has closed. */
export function peerAddress(req: IncomingMessage): string {
  return plainAddress(req.socket.remoteAddress)
}

/**
 * Whether `trustProxy` names the peer. A peer on a unix socket has no address. It is a process of this machine, so it
 * counts as `127.0.0.1`.
 */
export function trustsPeer(req: IncomingMessage, trusts: Trusts): boolean {
  return trusts(isOnUnixSocket(req) ? LOOPBACK : peerAddress(req), 0)
}

const LOOPBACK = '127.0.0.1'

/**
 * The address of the client: the first one, from the peer on through X-Forwarded-For, that is not trusted to name another.
 *
 * @returns `''` if it is unknown.
 */
export function clientAddress(req: IncomingMessage, trusts: Trusts): string {
  const peer = peerAddress(req)
  if (!trustsPeer(req, trusts)) return peer
  const chain = listMembers(fieldLines(req, 'x-forwarded-for')).map(withoutPort).reverse()
  return chain.find((address, i) => !trusts(address, i + 1)) ?? chain.at(-1) ?? peer
}

/** A unix socket has no address at either end. A TCP connection that the peer has reset still has its own. */
function isOnUnixSocket({ socket }: IncomingMessage): boolean {
  return socket.remoteAddress === undefined && socket.localAddress === undefined && !socket.destroyed
}

/** An address of X-Forwarded-For. Some proxies add a port: `203.0.113.9:4711`, `[2001:db8::1]:4711`. */
function withoutPort(member: string): string {
  const [, ipv6, ipv4] = /^(?:\[([\da-f:.]+)\](?::\d+)?|([\d.]+):\d+)$/i.exec(member) ?? []
  return plainAddress(ipv6 ?? ipv4 ?? member)
}
