/// <reference path="./apache-md5.d.ts" />
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import apacheMd5 from 'apache-md5'
import { compare } from 'bcryptjs'

/** The largest number of passwords that are remembered. */
const MAX_REMEMBERED = 1_000

/** A key of this process, so that nothing that is remembered is a plain hash of a password. */
const key = randomBytes(32)

/** The last password that fitted each hash. Without it, each request would take the time of a bcrypt. */
const remembered = new Map<string, Buffer>()

/** The kinds of hashes of htpasswd that are supported. */
const KINDS: readonly (readonly [
  kind: RegExp,
  check: (password: string, hash: string) => boolean | Promise<boolean>,
])[] = [
  [/^\$2[aby]\$\d\d\$/, (password, hash) => compare(password, hash)],
  [/^\$apr1\$/, (password, hash) => isSame(apacheMd5(password, hash), hash)],
  [/^\{SHA\}/, (password, hash) => isSame(createHash('sha1').update(password).digest('base64'), hash.slice(5))],
]

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** Whether a hash of htpasswd is of a supported kind: bcrypt, MD5 of Apache, or SHA-1. */
export const isSupportedHash = (hash: string): boolean => KINDS.some(([kind]) => kind.test(hash))

/** Whether a password fits a hash. It never fits a hash of another kind. httpd: apr_password_validate. */
export async function fitsHash(password: string, hash: string): Promise<boolean> {
  const digest = createHmac('sha256', key).update(password).digest()
  const before = remembered.get(hash)
  if (before !== undefined && timingSafeEqual(before, digest)) return true
  const check = KINDS.find(([kind]) => kind.test(hash))?.[1]
  if (check === undefined || !(await check(password, hash))) return false
  const [oldest] = remembered.size >= MAX_REMEMBERED ? remembered.keys() : []
  if (oldest !== undefined) remembered.delete(oldest)
  remembered.set(hash, digest)
  return true
}
