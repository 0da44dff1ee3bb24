import type { IncomingMessage } from 'node:http'
import { fieldValue } from '../http/app-fields.ts'
import { clientAddress, type Trusts } from '../http/client-address.ts'
import type { HashOptions } from '../options/balancer-options.ts'
import type { BalancerMember } from './balancer-member.ts'
import type { Comparison } from './lb-methods.ts'
import { cookieValue } from './sticky-sessions.ts'

/**
 * The text of a request that is hashed.
 *
 * @param url Path and query for the balancer.
 * @returns `undefined` if the request has no such text.
 */
export function hashKey(by: HashOptions, req: IncomingMessage, url: string, trusts: Trusts): string | undefined {
  switch (by.hash) {
    case 'client':
      return clientAddress(req, trusts) || undefined
    case 'path':
      return url.replace(/\?.*$/s, '')
    case 'cookie':
      return cookieValue(fieldValue(req, 'cookie'), by.name) || undefined
    case 'header':
      return fieldValue(req, by.name) || undefined
  }
}

/**
 * Rendezvous hashing: each member gets a number for the key, and the member with the highest number is selected. If a member is added or
 * removed, only its own keys move.
 * The share of keys is proportional to the load factor.
 */
export function hashing(key: string): Comparison {
  let highest = 0
  return {
    isBetter: (member, best) => {
      const own = weight(member, key)
      if (best !== undefined && own <= highest) return false
      highest = own
      return true
    },
    onSelect: () => {},
  }
}

/** If `u` is uniform in (0, 1), `factor / -ln(u)` is the highest with a probability proportional to `factor`. */
function weight(member: BalancerMember, key: string): number {
  const u = (hash32(`${member.url} ${key}`) + 0.5) / 2 ** 32
  return member.loadFactor / -Math.log(u)
}

/** FNV-1a with a final mix, because the last characters of a key affect too few of its bits. */
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
