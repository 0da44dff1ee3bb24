import type { Report } from '../diagnostics.ts'
import type { Alias } from '../directives/model.ts'
import { canonicalPath } from '../rules/escapes.ts'

/**
 * The URL of a ProxyPass as a target of the core, with its captures. The path is in httpd's canonical form, which
 * encodes `%` like any other character; with `mapping=` the path stays as written. httpd: ap_proxy_canonenc_ex,
 * ap_pregsub.
 *
 * @returns `undefined` after an error.
 */
export function compileTarget(alias: Alias, report: Report): string | undefined {
  const { real, regex, mapping } = alias
  const parts = /^(unix:[^|]+\|)?([a-z][a-z0-9+.-]*):(?:\/\/([^/$]*(?:\$(?!\d)[^/$]*)*)(.*))?$/is.exec(real)
  const [, socket = '', scheme = '', authority, rest = ''] = parts ?? []
  if (!/^(?:wss?|https?|h2c?|balancer)$/i.test(scheme))
    return report.refuse(alias, `the scheme ${scheme}: is not supported`, {
      at: real,
      expected: 'ws:, wss:, http:, https:, h2:, h2c: or balancer:',
    })
  if (authority === undefined) {
    if (socket !== '') return `${socket}${scheme.toLowerCase()}://localhost/`
    return report.fail(alias, `ProxyPass URL must be absolute!: ${real}`, { at: real })
  }
  if (regex === undefined && /\$\d/.test(rest))
    return report.refuse(alias, '"$" and a digit stand for a capture, but a path has no captures', {
      at: real,
      expected: 'ProxyPassMatch',
    })
  if (regex !== undefined && /\\\$\d/.test(rest.replaceAll('\\\\', '')))
    return report.refuse(alias, 'an escaped "$" before a digit is not supported', { at: real })
  const host = /^balancer$/i.test(scheme) ? authority.toLowerCase() : authority
  const path = mapping === 'decoded' ? canonical(rest, regex !== undefined) : rest
  return `${socket}${scheme.toLowerCase()}://${host}${path}`
}

/** If the line has a pattern, `$1` stays as it is, and a backslash escapes the next character. */
function canonical(text: string, isPattern: boolean): string {
  if (!isPattern) return canonicalPath(text, false)
  return text.replace(/(\$\d)|\\(.)|./gsu, (char, capture?: string, escaped?: string) =>
    capture === undefined ? canonicalPath(escaped ?? char, false) : capture,
  )
}
