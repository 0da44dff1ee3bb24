import { balancerName } from '../syntax/backend-url.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi, keyAndValue } from '../syntax/values.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { balancerComplaint } from './balancer-parameters.ts'
import type { Context, Handlers } from './directive-kit.ts'
import { healthComplaint } from './health-parameters.ts'
import type { Balancer, Server } from './model.ts'
import { IDLE_PARAMETERS, workerComplaint } from './worker-parameters.ts'

/** ProxySet. `<Proxy url key=value>` and ProxyPass use the same functions. */
export const PROXY_SET: Handlers = {
  proxyset: (directive, context) => {
    const words = new Words(directive.args)
    const url = context.proxy ?? words.next()
    const name = balancerName(url)
    if (context.proxy === undefined && name !== undefined && !context.server.balancers.has(name))
      context.report.fail(directive, `ProxySet can not find '${url}' Balancer.`, { at: url })
    else setParameters(url, words.rest, directive, context, 'ProxySet: ')
  },
}

/** The balancer of a URL. The first line that names it creates it. httpd: ap_proxy_define_balancer. */
export function defineBalancer(url: string, { place }: Directive, { balancers }: Server): Balancer | undefined {
  const name = balancerName(url)
  if (name === undefined) return undefined
  const known = balancers.get(name)
  if (known !== undefined) return known
  const balancer: Balancer = { name, place, parameters: new Map(), members: [] }
  balancers.set(name, balancer)
  return balancer
}

/** Sets all `key=value` of a line on the balancer or the worker that the URL names. */
export function setParameters(
  url: string,
  text: string,
  directive: Directive,
  context: Context,
  prefix: string,
): undefined {
  const { server, report } = context
  const balancer = defineBalancer(url, directive, server)
  const known = server.workers.get(url)
  const parameters = known?.parameters ?? new Map<string, string>()
  for (const word of splitWords(text)) {
    const pair = keyAndValue(word)
    if (pair === undefined)
      return report.fail(directive, "Invalid ProxySet parameter. Parameter must be in the form 'key=value'", {
        at: word,
      })
    const wording = { prefix, suffix: prefix === '' ? '' : ` ${word}; ${url}` }
    setParameter(balancer ?? parameters, pair, directive, context, wording)
  }
  if (balancer === undefined) server.workers.set(url, { place: known?.place ?? directive.place, parameters })
}

/** httpd's words around a complaint about a parameter. */
interface Wording {
  readonly prefix: string
  readonly suffix: string
}

/** Sets one parameter on a balancer, or on the parameters of a worker. */
export function setParameter(
  target: Balancer | Map<string, string>,
  [key, value]: [key: string, value: string],
  directive: Directive,
  context: Context,
  wording: Wording,
): void {
  const isWorker = target instanceof Map
  const complaint = isWorker
    ? (workerComplaint(key, value) ?? healthComplaint(key, value, context.server.health))
    : balancerComplaint(key, value)
  const lower = key.toLowerCase()
  if (complaint !== undefined) {
    const text = `${wording.prefix}${complaint}${wording.suffix}`
    context.report.fail(directive, text, { at: `${key}=${value}` })
  } else if (isWorker) {
    target.set(lower, value)
    remarkOnWorker(lower, key, value, directive, context)
  } else if (lower === 'nonce' || lower === 'growth') {
    context.report.ignore(directive, `${lower}=: only the balancer-manager of httpd uses it`)
  } else target.parameters.set(lower, value)
}

/** Reports a parameter of a worker that has no effect, or another effect than it seems to have. */
function remarkOnWorker(lower: string, key: string, value: string, directive: Directive, { report }: Context): void {
  const at = `${key}=${value}`
  const idle = IDLE_PARAMETERS[lower]
  if (idle !== undefined) report.ignore(directive, `${lower}=: ${idle}`)
  if (/^(?:timeout|ttl|retry)$/.test(lower) && !/^\d+$/.test(value))
    report.warn(directive, `httpd reads ${lower}=${value} as ${atoi(value)} seconds: a unit has no effect here`, { at })
  if (lower === 'status' && /[ndsehrcoguf]/i.test(value))
    report.refuse(directive, 'the status of a worker outside a balancer is not supported', { at })
}
