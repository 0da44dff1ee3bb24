import { BlockList, isIPv6 } from 'node:net'
import type { MemberOptions } from '@ws-tunnel/core'
import { wrongOption } from '../util/wrong-option.ts'

/** Which members an operator may add, here and in other processes of the fleet. */
export interface AddedMembersOptions {
  /**
   * Allows `unix:` sockets. Many services of a machine trust every program that can open their socket.
   *
   * @default false
   */
  unix?: boolean
  /**
   * Allows link-local addresses and those of metadata services, by which a machine in a cloud gets its credentials. Host
   * names are looked up before each connection.
   *
   * @default false
   */
  linkLocal?: boolean
  /**
   * The largest number of added members. More can be added when others are removed. 0 to 10000.
   *
   * @default 100
   */
  max?: number
}

/** 169.254.0.0/16 and fe80::/10 (RFC 3927, RFC 4291), and the metadata services of clouds elsewhere. */
const LINK_LOCAL = new BlockList()
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6')
/** What precedes an IPv4 address in IPv6: IPv4-compatible, translated, NAT64 (RFC 4291 2.5.5, RFC 7915, RFC 6052, RFC 8215). */
const EMBEDDING = ['::', '::ffff:0:', '64:ff9b::', '64:ff9b:1::']
for (const [address, bits] of [
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
] as const) {
  LINK_LOCAL.addSubnet(address, bits, 'ipv4')
  for (const prefix of EMBEDDING) LINK_LOCAL.addSubnet(prefix + address, 96 + bits, 'ipv6')
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  // 6to4 (RFC 3056) has the address after its first 16 bits.
  LINK_LOCAL.addSubnet(`2002:${((a << 8) + b).toString(16)}:${((c << 8) + d).toString(16)}::`, 16 + bits, 'ipv6')
}
for (const address of ['fd00:ec2::254', 'fd20:ce::254']) LINK_LOCAL.addAddress(address, 'ipv6')

/** Whether an IP address is neither link-local nor that of a metadata service. */
export function isOrdinaryAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '')
  return !LINK_LOCAL.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/** The checks of members that operators add. */
export class AddedMembers {
  readonly #unix: boolean
  readonly #linkLocal: boolean
  readonly max: number

  /** @throws {TypeError} for wrong options. */
  constructor(options: AddedMembersOptions = {}) {
    if (typeof options !== 'object' || options === null) wrongOption('addedMembers', 'an object', options)
    const { unix = false, linkLocal = false, max = 100, ...others } = options
    const [unknown] = Object.keys(others)
    if (unknown !== undefined) wrongOption('addedMembers', 'an object with unix, linkLocal and max', options)
    if (typeof unix !== 'boolean') wrongOption('addedMembers.unix', 'true or false', unix)
    if (typeof linkLocal !== 'boolean') wrongOption('addedMembers.linkLocal', 'true or false', linkLocal)
    if (!Number.isInteger(max) || max < 0 || max > 10_000)
      wrongOption('addedMembers.max', 'a whole number from 0 to 10000', max)
    this.#unix = unix
    this.#linkLocal = linkLocal
    this.max = max
  }

  /**
   * The options with which a balancer checks the addresses of the member before it connects.
   *
   * @throws {Error} for a `unix:` socket that is not allowed.
   */
  optionsFor(url: string): Pick<MemberOptions, 'acceptAddress'> {
    if (!this.#unix && /^unix:/i.test(url))
      throw new Error('Expected no unix: socket, unless `addedMembers.unix` is set')
    return this.#linkLocal ? {} : { acceptAddress: isOrdinaryAddress }
  }
}
