import type { IncomingMessage, Server } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { addressOf, type TargetOrigin } from '../backend/target.ts'
import { WsTunnelError } from '../errors.ts'
import { type HeaderList, listMembers } from '../http/header-list.ts'

/** How often a request may come back to this proxy. More than one round may be wanted: one route may lead to another. */
const MAX_ROUNDS = 10

/** How long the list of this machine's addresses is used, ms. */
const ADDRESSES_FOR = 10_000

/**
 * The servers of this process that got a request for a proxy, with their port or the path of their unix socket. Not one of them is
 * kept alive, and none has a listener of ours: a proxy that is closed leaves nothing behind.
 */
const servers = new Map<WeakRef<Server>, number | string>()
const known = new WeakSet<Server>()

/**
 * Counts the rounds of a request that may come back to this process, in `Max-Forwards` (RFC 9110 7.6.2). The field is
 * written only if the target may be a server of this process, so no other backend sees it.
 *
 * @throws {WsTunnelError} `WST_ERR_LOOP` when a request has come back too often.
 */
export function countRound(headers: HeaderList, req: IncomingMessage, origin: TargetOrigin): void {
  noteServer(req)
  const { socketPath, port } = origin
  if (!isServed(socketPath ?? port) || !mayLeadHere(origin, req)) return
  const before = headers.get('max-forwards') ?? ''
  const left = /^\d+$/.test(before) ? Math.min(Number(before), MAX_ROUNDS) : MAX_ROUNDS
  if (left === 0) throw loop(`through ${addressOf(origin)}`)
  headers.set('Max-Forwards', String(left - 1))
}

/**
 * Checks how often this proxy occurs in `Via` (RFC 9110 7.6.3). It recognises a loop through other proxies.
 *
 * @param headers with this proxy's own member
 * @throws {WsTunnelError} `WST_ERR_LOOP`
 */
export function checkVia(headers: HeaderList, serverName: string): void {
  const name = serverName.toLowerCase()
  const own = listMembers(headers.getAll('via')).filter(member => member.split(/[ \t]+/)[1]?.toLowerCase() === name)
  if (own.length > MAX_ROUNDS) throw loop(`Via names ${serverName} ${own.length} times`)
}

const loop = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_LOOP', { detail })

function noteServer({ socket }: IncomingMessage): void {
  const { server } = socket as { server?: Server }
  if (typeof server?.address !== 'function' || known.has(server)) return
  known.add(server)
  const address = server.address()
  if (address === null) return
  forgetClosed()
  servers.set(new WeakRef(server), typeof address === 'string' ? address : address.port)
}

function forgetClosed(): void {
  for (const reference of servers.keys()) {
    const server = reference.deref()
    if (server?.listening) continue
    servers.delete(reference)
    if (server !== undefined) known.delete(server)
  }
}

function isServed(key: number | string): boolean {
  for (const [reference, each] of servers) if (each === key && reference.deref()?.listening) return true
  return false
}

/** Whether a target on a port of this process is on this machine. For a name it is unknown: then the client must be. */
function mayLeadHere({ socketPath, host, address = host }: TargetOrigin, { socket }: IncomingMessage): boolean {
  if (socketPath !== undefined || isLocalName(address)) return true
  if (isIP(address) !== 0) return isLocalAddress(address)
  const { remoteAddress } = socket
  return remoteAddress === undefined || isLocalAddress(remoteAddress)
}

const isLocalName = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost')

let addresses: BlockList | undefined
let readAt = Number.NEGATIVE_INFINITY

function isLocalAddress(address: string): boolean {
  if (addresses === undefined || performance.now() - readAt > ADDRESSES_FOR) {
    addresses = ownAddresses()
    readAt = performance.now()
  }
  return addresses.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** The addresses that lead to this machine. A `BlockList` compares addresses, not their spellings. */
function ownAddresses(): BlockList {
  const list = new BlockList()
  list.addSubnet('127.0.0.0', 8)
  for (const address of ['0.0.0.0', '::', '::1']) list.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  try {
    for (const each of Object.values(networkInterfaces()))
      for (const { address, family } of each ?? []) list.addAddress(address, family === 'IPv6' ? 'ipv6' : 'ipv4')
  } catch {
    // Without a descriptor the system gives no list.
  }
  return list
}
