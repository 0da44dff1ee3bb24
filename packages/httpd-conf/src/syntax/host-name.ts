import { isIPv6 } from 'node:net'

/** Longest part of a name that is compared; a host name has at most 253 characters. */
const MAX_NAME = 255

/**
 * A test for the names that a ServerName or a ServerAlias stands for: `*` is any text, `?` is any one character, letter
 * case does not count. The time is at most the product of both lengths. httpd: ap_strcasecmp_match in matches_aliases.
 */
export function hostNameTest(pattern: string): (name: string) => boolean {
  const wanted = pattern.toLowerCase()
  return name => matches(wanted, name.slice(0, MAX_NAME).toLowerCase())
}

function matches(pattern: string, name: string): boolean {
  let p = 0
  let n = 0
  // Where to continue after a mismatch: at the last `*`, which then covers one more character of the name.
  let star = -1
  let resume = 0
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++
      resume = n
    } else if (pattern[p] === '?' || pattern[p] === name[n]) {
      p++
      n++
    } else if (star !== -1) {
      p = star + 1
      n = ++resume
    } else return false
  }
  return /^\**$/.test(pattern.slice(p))
}

/**
 * Whether httpd accepts the value of a Host field with HttpProtocolOptions Strict, its default. httpd: fix_hostname,
 * strict_hostname_check.
 */
export function isStrictHost(host: string): boolean {
  const [, name = '', port] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::(\d+))?$/i.exec(host) ?? []
  if (name === '' || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))) return false
  if (name.startsWith('[')) return isIPv6(name.slice(1, -1))
  const labels = name.replace(/\.$/, '').split('.')
  if (labels.some((label, i) => label === '' && i > 0)) return false
  if (/^[\d.]+$/.test(name)) return labels.length === 4 && labels.every(label => /^(?:0|[1-9]\d*)$/.test(label))
  return labels.length === 1 || /^[a-z]/i.test(labels.at(-1) as string)
}
