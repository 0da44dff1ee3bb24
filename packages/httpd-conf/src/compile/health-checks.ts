import type { HealthCheckOptions, HealthMethod, HealthResponse } from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import type { BalancerMember } from '../directives/model.ts'

/**
 * The health check of a member, with a value for every option; `undefined` if the member has none.
 *
 * @param timeout the time that the member has to respond to a request, ms.
 */
export function compileHealthCheck(
  member: BalancerMember,
  timeout: number,
  report: Report,
): HealthCheckOptions | undefined {
  const { method, interval, passes, fails, uri, condition } = member.health
  if (method === 'NONE') return undefined
  const common = { method: method as HealthMethod, interval, timeout, passes: passes || 1, fails: fails || 1 }
  if (method === 'TCP') return common
  const expect = condition === undefined ? {} : { expect: (response: HealthResponse) => condition(response) !== null }
  if (method.startsWith('OPTIONS')) return { ...common, ...expect }
  // httpd puts a slash between a path and hcuri=, even if there is one already. httpd: create_hcheck_req.
  const hasPath = /^(?:unix:[^|]*\|)?[a-z][a-z0-9]*:\/\/[^/]*\//i.test(member.url)
  if (!hasPath && !uri.startsWith('/')) {
    report.warn(
      member,
      'in httpd the check requests a path that does not begin with a slash, which few servers accept; here it begins with one',
      { at: 'hc', expected: `hcuri=/${uri}` },
    )
  }
  const path = uri === '' || (!hasPath && uri.startsWith('/')) ? uri : `/${uri}`
  if (!/^(?:\/[\x21-\x7e]*)?$/.test(path) || path.includes('#'))
    report.refuse(member, 'hcuri= with a space, a "#" or a character outside ASCII is not supported', { at: uri })
  return { ...common, ...(path !== '' && { uri: path }), ...expect }
}
