import { balancerName } from '../syntax/backend-url.ts'
import type { Directive } from '../syntax/parser.ts'
import { keyAndValue } from '../syntax/values.ts'
import { splitWords } from '../syntax/words.ts'
import type { Context, Handlers } from './directive-kit.ts'
import { healthComplaint, readHealthCheck } from './health-parameters.ts'
import type { Balancer } from './model.ts'
import { defineBalancer } from './proxy-set.ts'
import { workerComplaint } from './worker-parameters.ts'

/** BalancerMember. */
export const BALANCER_MEMBER: Handlers = { balancermember: member }

/** httpd: add_member. */
function member(directive: Directive, context: Context): undefined {
  const { place, name } = directive
  const { report, server } = context
  const parameters = new Map<string, string>()
  let path = context.proxy
  let url: string | undefined
  for (const word of splitWords(directive.args)) {
    const pair = keyAndValue(word)
    if (pair !== undefined) {
      const [key, value] = pair
      const complaint = workerComplaint(key, value) ?? healthComplaint(key, value, server.health)
      if (complaint !== undefined) return report.fail(directive, `BalancerMember ${complaint}`, { at: word })
      parameters.set(key.toLowerCase(), value)
    } else if (path === undefined) path = word
    else if (url === undefined) url = word
    else
      return report.fail(directive, "Invalid BalancerMember parameter. Parameter must be in the form 'key=value'", {
        at: word,
      })
  }
  if (path === undefined)
    return report.fail(directive, 'BalancerMember must define balancer name when outside <Proxy > section')
  if (url === undefined) return report.fail(directive, 'BalancerMember must define remote proxy server')
  if (balancerName(path) === undefined)
    return report.fail(directive, `BalancerMember Bad syntax for a remote proxy server: ${path}`, { at: path })
  if (!/^(?:unix:[^|]+\|)?(?:wss?|https?|h2c?):\/\//i.test(url))
    return report.refuse(directive, 'this scheme is not supported', {
      at: url,
      expected: 'ws:, wss:, http:, https:, h2: or h2c:',
    })
  const { members } = defineBalancer(path, directive, server) as Balancer
  // httpd treats both as one member: ap_proxy_get_worker finds a worker whose URL is a prefix of the new URL.
  const shared = members.find(earlier => url.startsWith(earlier.url))
  if (shared === undefined) {
    members.push({ name, place, url, parameters, health: readHealthCheck(parameters, server.health) })
    return
  }
  report.warn(
    directive,
    `has no effect, in httpd too: its URL begins with that of the member in line ${shared.place.line}`,
    { at: url },
  )
}
