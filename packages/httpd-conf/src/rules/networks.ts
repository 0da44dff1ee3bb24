import { lookup, lookupService } from 'node:dns/promises'
import { BlockList, isIP, isIPv4 } from 'node:net'

/** A test of addresses. */
export type AddressTest = (address: string) => boolean

/** The number of leading ones of a netmask; `undefined` if it has others. */
function bitsOf(mask: string): number | undefined {
  const bits = mask
    .split('.')
    .map(part => Number(part).toString(2).padStart(8, '0'))
    .join('')
  return /^1*0*$/.test(bits) ? bits.replace(/0/g, '').length : undefined
}

/**
 * Reads an address, the beginning of an IPv4 address (`10.1`), or a network with a mask (`10.1.0.0/16`,
 * `10.1.0.0/255.255.0.0`).
 *
 * @returns `undefined` if it is none of these. httpd: apr_ipsubnet_create.
 */
export function readNetwork(text: string): AddressTest | undefined {
  const [, net = '', mask] = /^([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  const parts = net.replace(/\.$/, '').split('.')
  const isPart = (part: string): boolean => /^\d{1,3}$/.test(part) && Number(part) < 256
  const isBeginning = !net.includes(':') && parts.length < 4 && parts.every(isPart)
  if (isBeginning && mask === undefined) {
    const start = `${parts.join('.')}.`
    return address => isIPv4(address) && address.startsWith(start)
  }
  const whole = isBeginning ? [...parts, '0', '0', '0'].slice(0, 4).join('.') : net
  const family = isIP(whole)
  if (family === 0) return undefined
  const most = family === 4 ? 32 : 128
  const bits =
    mask === undefined
      ? most
      : /^\d+$/.test(mask)
        ? Number(mask)
        : isIPv4(mask) && family === 4
          ? bitsOf(mask)
          : undefined
  if (bits === undefined || bits > most || (mask !== undefined && bits < 1)) return undefined
  const list = new BlockList()
  const kind = family === 4 ? 'ipv4' : 'ipv6'
  list.addSubnet(whole, bits, kind)
  return address => isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/**
 * Whether the name of an address ends in a domain, and that name has the address too. httpd: ap_get_remote_host with
 * REMOTE_DOUBLE_REV.
 */
export async function isInDomain(address: string, domain: string): Promise<boolean> {
  try {
    const { hostname } = await lookupService(address, 0)
    const [name, wanted] = [hostname.toLowerCase(), domain.toLowerCase()]
    const fits = wanted.startsWith('.') ? name.endsWith(wanted) : name === wanted || name.endsWith(`.${wanted}`)
    return fits && (await hasAddress(hostname, address))
  } catch {
    return false
  }
}

/** Whether a name has an address. */
export async function hasAddress(name: string, address: string): Promise<boolean> {
  try {
    return (await lookup(name, { all: true })).some(found => found.address === address)
  } catch {
    return false
  }
}
