import type { IncomingMessage } from 'node:http'
import proxyAddress from 'proxy-addr'
import { headerValue } from '../http/header-list.ts'
import type { HashOptions } from '../options/balancer-options.ts'
import type { Member } from './balancer-member.ts'
import type { Comparison } from './lb-methods.ts'
import { cookieValue } from './sticky-sessions.ts'

/** Which peers may say for whom they speak. */
export type Trusts = (address: string, hop: number) => boolean

/**
 * What of a request is hashed.
 *
 * @param url path and query for the balancer
 * @returns `undefined` where the request has nothing of the kind.
 */
export function hashKey(by: HashOptions, req: IncomingMessage, url: string, trusts: Trusts): string | undefined {
  switch (by.hash) {
    case 'client':
      return proxyAddress(req, trusts)
    case 'path':
      return url.replace(/\?.*$/s, '')
    case 'cookie':
      return cookieValue(headerValue(req, 'cookie'), by.name) || undefined
    case 'header':
      return headerValue(req, by.name) || undefined
  }
}

/**
 * Rendezvous hashing: every member draws a number for the key, and the highest wins. A member that comes or goes moves its
 * own keys alone, and a share follows its factor.
 */
export function hashing(key: string): Comparison {
  let highest = 0
  return {
    isBetter: (member, best) => {
      const drawn = draw(member, key)
      if (best !== undefined && drawn <= highest) return false
      highest = drawn
      return true
    },
    chosen: () => {},
  }
}

/** With `u` evenly spread, `w / -ln(u)` is highest for each `w` as often as its share of all of them. */
function draw(member: Member, key: string): number {
  const u = (hash32(`${member.url} ${key}`) + 0.5) / 2 ** 32
  return member.loadFactor / -Math.log(u)
}

/** FNV-1a, its bits spread once more, for the last characters of a key reach too few of them. */
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
