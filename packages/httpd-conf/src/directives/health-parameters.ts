import type { HealthAnswer, HealthCheckOptions, HealthMethod } from '@ws-tunnel/core'
import { MAX_DELAY } from '../compile/workers.ts'
import type { Place, Report } from '../diagnostics.ts'
import { type Expression, readExpressionOf, type Vocabulary } from '../rules/expression.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { atoi, duration } from './worker-parameters.ts'

/** hcmethod= and its kin, as a member or a template says them. */
export interface HealthCheck {
  /** Upper-case; `NONE` is no check. */
  readonly method: string
  /** ms. */
  readonly interval: number
  readonly passes: number
  readonly fails: number
  readonly uri: string
  readonly condition: Expression<HealthAnswer> | undefined
}

/** What the lines of one server have given names to, lower-case; a virtual host does not know those of the main server. */
export interface HealthNames {
  readonly templates: Map<string, HealthCheck>
  /** `undefined` for one that was left out. */
  readonly conditions: Map<string, Expression<HealthAnswer> | undefined>
}

/** httpd: ap_proxy_define_worker_ex. */
const UNCHECKED: HealthCheck = { method: 'NONE', interval: 30_000, passes: 1, fails: 1, uri: '', condition: undefined }

const METHODS = ['NONE', 'TCP', 'OPTIONS', 'HEAD', 'GET', 'CPING', 'PROVIDER', 'OPTIONS11', 'HEAD11', 'GET11']

/** httpd: AP_WD_TM_SLICE. */
const MIN_INTERVAL = 100

/** With the limits and the words of set_worker_hc_param; `undefined` for a key of something else. */
export function healthComplaint(key: string, value: string, names: HealthNames): string | undefined {
  const name = value.toLowerCase()
  switch (key.toLowerCase()) {
    case 'hctemplate':
      return names.templates.has(name) ? undefined : `Unknown ProxyHCTemplate name: ${value}`
    case 'hcmethod': {
      if (!METHODS.includes(value.toUpperCase())) return 'Unknown method'
      return /^(?:cping|provider)$/i.test(value) ? `Health check method ${value} not (yet) implemented` : undefined
    }
    case 'hcinterval': {
      const ms = duration(value, 's')
      if (ms === undefined) return 'Unparse-able hcinterval setting'
      return ms < MIN_INTERVAL ? `Interval must be a positive value greater than ${MIN_INTERVAL}ms` : undefined
    }
    case 'hcpasses':
      return atoi(value) < 0 ? 'Passes must be a positive value' : undefined
    case 'hcfails':
      return atoi(value) < 0 ? 'Fails must be a positive value' : undefined
    case 'hcuri':
      return value.length >= 64 ? 'Health check uri length must be < 64 characters' : undefined
    case 'hcexpr':
      return names.conditions.has(name) ? undefined : `Unknown health check condition expr: ${value}`
    default:
      return undefined
  }
}

function change(check: HealthCheck, key: string, value: string, names: HealthNames): HealthCheck {
  switch (key) {
    case 'hctemplate':
      return names.templates.get(value.toLowerCase()) ?? check
    case 'hcmethod':
      return { ...check, method: value.toUpperCase() }
    case 'hcinterval':
      return { ...check, interval: Math.min(duration(value, 's') ?? check.interval, MAX_DELAY) }
    case 'hcpasses':
      return { ...check, passes: atoi(value) }
    case 'hcfails':
      return { ...check, fails: atoi(value) }
    case 'hcuri':
      return { ...check, uri: value }
    case 'hcexpr':
      return { ...check, condition: names.conditions.get(value.toLowerCase()) }
    default:
      return check
  }
}

/** The parameters of a member in their order: a template takes back what stands before it. */
export function readHealthCheck(parameters: ReadonlyMap<string, string>, names: HealthNames): HealthCheck {
  let check = UNCHECKED
  for (const [key, value] of parameters) check = change(check, key, value, names)
  return check
}

/** Reads ProxyHCTemplate. httpd: set_hc_template. */
export function readTemplate(name: string, args: string, place: Place, report: Report, names: HealthNames): undefined {
  const fail = (httpd: string, at?: string): undefined =>
    void report.error(place, name, httpd, { httpd, ...(at !== undefined && { at }) })
  const [template = '', ...rest] = splitWords(args)
  if (template === '') return fail(`Missing template name for ${name}`)
  let check: HealthCheck = { ...UNCHECKED, method: 'TCP' }
  for (const word of rest) {
    const equals = word.indexOf('=')
    if (equals === -1) return fail("Invalid ProxyHCTemplate parameter. Parameter must be in the form 'key=value'", word)
    const [key, value] = [word.slice(0, equals), word.slice(equals + 1)]
    const known = /^hc(?:template|method|interval|passes|fails|uri|expr)$/i.test(key)
    const complaint = known ? healthComplaint(key, value, names) : 'unknown Worker hcheck parameter'
    if (complaint !== undefined) return fail(`ProxyHCTemplate: ${complaint} ${word}; ${template}`, word)
    check = change(check, key.toLowerCase(), value, names)
  }
  if (!names.templates.has(template.toLowerCase())) names.templates.set(template.toLowerCase(), check)
}

/** Reads ProxyHCExpr. httpd: set_hc_condition. */
export function readHealthCondition(
  name: string,
  args: string,
  place: Place,
  report: Report,
  names: HealthNames,
): undefined {
  const fail = (httpd: string): undefined => void report.error(place, name, httpd, { httpd })
  const words = new Words(args)
  const condition = words.next()
  if (condition === '') return fail(`Missing expression name for ${name}`)
  if (condition.length > 15) return fail('Expression name limited to 15 characters')
  const text = words.nextBraced()
  if (text === '') return fail(`Missing expression for ${name}`)
  if (!words.done) return fail('error: extra parameter(s)')
  const read = readExpressionOf(text, ANSWERS)
  if ('problem' in read) report.refuse(place, name, read.problem, { at: text })
  names.conditions.set(condition.toLowerCase(), 'problem' in read ? undefined : read)
}

const field = ({ headers }: HealthAnswer, name: string): string => {
  const value = headers[name.toLowerCase()]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}
const ofCheck = ({ body }: HealthAnswer, what: string): string => (what.toLowerCase() === 'body' ? body : '')

const ANSWERS: Vocabulary<HealthAnswer> = {
  functions: {
    hc: (what, answer) => ofCheck(answer, what),
    resp: (name, answer) => field(answer, name),
  },
  read: text => {
    const pieces: ((answer: HealthAnswer, groups: readonly (string | undefined)[]) => string)[] = []
    for (const [whole, variable, group] of text.matchAll(/%\{([^}]*)\}|\$(\d)|[^%$]+|[%$]/g)) {
      const reader = variable === undefined ? undefined : variableOf(variable)
      if (variable !== undefined && reader === undefined) return { problem: `${whole} is not honoured` }
      if (reader !== undefined) pieces.push(reader)
      else if (group !== undefined) pieces.push((_, groups) => groups[Number(group)] ?? '')
      else pieces.push(() => whole)
    }
    return (answer, groups) => pieces.map(piece => piece(answer, groups)).join('')
  },
}

function variableOf(name: string): ((answer: HealthAnswer) => string) | undefined {
  const [, call = '', argument = ''] = /^(\w+):(.*)$/s.exec(name) ?? []
  if (/^resp$/i.test(call)) return answer => field(answer, argument)
  if (/^hc$/i.test(call)) return answer => ofCheck(answer, argument)
  if (/^request_status$/i.test(name)) return ({ statusCode }) => String(statusCode)
  if (/^content_type$/i.test(name)) return answer => field(answer, 'content-type')
  if (/^hc_/i.test(name)) return answer => ofCheck(answer, name.slice(3))
  return undefined
}

/**
 * As the core takes it, each setting written out; `undefined` for no check.
 *
 * @param timeout of one who reads from the member, ms
 */
export function compileHealthCheck(
  { method, interval, passes, fails, uri, condition }: HealthCheck,
  { url, place, name }: { url: string; place: Place; name: string },
  timeout: number,
  report: Report,
): HealthCheckOptions | undefined {
  if (method === 'NONE') return undefined
  const common = { method: method as HealthMethod, interval, timeout, passes: passes || 1, fails: fails || 1 }
  if (method === 'TCP') return common
  const expect = condition === undefined ? {} : { expect: (answer: HealthAnswer) => condition(answer) !== null }
  if (method.startsWith('OPTIONS')) return { ...common, ...expect }
  // httpd puts a slash between a path and hcuri=, whether there is one or not. httpd: create_hcheck_req.
  const pathless = !/^(?:unix:[^|]*\|)?[a-z]+:\/\/[^/]*\//i.test(url)
  if (pathless && !uri.startsWith('/')) {
    report.warn(
      place,
      name,
      'in httpd the check asks for a path that does not begin with a slash, which few servers answer well; here it does',
      { at: 'hc', expected: `hcuri=/${uri}` },
    )
  }
  const asked = uri === '' || (pathless && uri.startsWith('/')) ? uri : `/${uri}`
  if (!/^(?:\/[\x21-\x7e]*)?$/.test(asked) || asked.includes('#'))
    report.refuse(place, name, 'hcuri= with space, "#" or other letters than those of ASCII is not honoured', {
      at: uri,
    })
  return { ...common, ...(asked !== '' && { uri: asked }), ...expect }
}
