/**
 * An IP address without the prefix `::ffff:` that a dual-stack socket puts before an IPv4 address: httpd writes such an
 * address as IPv4. Returns `''` for `undefined`, which is the address of a socket that has closed.
 */
export function plainAddress(address = ''): string {
  return address.startsWith('::') ? address.replace(/^::ffff:(?=\d+\.)/i, '') : address
}
