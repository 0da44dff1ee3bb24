import { readHealthExpression } from '../rules/health-expression.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi, keyAndValue } from '../syntax/values.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { type Context, type Handlers, take1 } from './directive-kit.ts'
import { healthComplaint, isHealthParameter, NO_CHECK, withParameter } from './health-parameters.ts'
import type { HealthCheck } from './model.ts'

/** Directives of mod_proxy_hcheck. */
export const HEALTH_DIRECTIVES: Handlers = {
  proxyhctemplate: template,
  proxyhcexpr: condition,
  proxyhctpsize: take1('Set size of health check thread pool', (value, directive, { section, report }) => {
    if (section === '<VirtualHost')
      report.fail(directive, `${directive.name} cannot occur within <VirtualHost> section`)
    else if (atoi(value) < 0)
      report.fail(directive, 'Invalid ProxyHCTPsize parameter. Parameter must be >= 0', { at: value })
    else report.ignore(directive, 'health checks need no threads; at most 16 run at a time')
  }),
}

/** ProxyHCTemplate; the first template of a name counts. httpd: set_hc_template. */
function template(directive: Directive, { report, server: { health } }: Context): undefined {
  const [name = '', ...words] = splitWords(directive.args)
  if (name === '') return report.fail(directive, `Missing template name for ${directive.name}`)
  let check: HealthCheck = { ...NO_CHECK, method: 'TCP' }
  for (const word of words) {
    const pair = keyAndValue(word)
    if (pair === undefined)
      return report.fail(directive, "Invalid ProxyHCTemplate parameter. Parameter must be in the form 'key=value'", {
        at: word,
      })
    const [key, value] = pair
    const complaint = isHealthParameter(key) ? healthComplaint(key, value, health) : 'unknown Worker hcheck parameter'
    if (complaint !== undefined)
      return report.fail(directive, `ProxyHCTemplate: ${complaint} ${word}; ${name}`, { at: word })
    check = withParameter(check, key.toLowerCase(), value, health)
  }
  const key = name.toLowerCase()
  if (!health.templates.has(key)) health.templates.set(key, check)
}

/** ProxyHCExpr. httpd: set_hc_condition. */
function condition(directive: Directive, { report, server: { health } }: Context): undefined {
  const words = new Words(directive.args)
  const name = words.next()
  if (name === '') return report.fail(directive, `Missing expression name for ${directive.name}`)
  if (name.length > 15) return report.fail(directive, 'Expression name limited to 15 characters')
  const text = words.nextBraced()
  if (text === '') return report.fail(directive, `Missing expression for ${directive.name}`)
  if (!words.done) return report.fail(directive, 'error: extra parameter(s)')
  const expression = readHealthExpression(text)
  if ('problem' in expression) report.refuse(directive, expression.problem, { at: text })
  health.conditions.set(name.toLowerCase(), 'problem' in expression ? undefined : expression)
}
