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
