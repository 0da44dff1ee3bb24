import { MAX_DELAY } from '@ws-tunnel/core'
import { atoi, duration } from '../syntax/values.ts'
import type { HealthCheck, HealthNames } from './model.ts'

/** A member without `hcmethod=`. httpd: the defaults of ap_proxy_define_worker_ex. */
export const NO_CHECK: HealthCheck = {
  method: 'NONE',
  interval: 30_000,
  passes: 1,
  fails: 1,
  uri: '',
  condition: undefined,
}

const METHODS = ['NONE', 'TCP', 'OPTIONS', 'HEAD', 'GET', 'CPING', 'PROVIDER', 'OPTIONS11', 'HEAD11', 'GET11']

/** The shortest interval, ms. httpd: AP_WD_TM_SLICE. */
const MIN_INTERVAL = 100

/** Whether a parameter is one of a health check, in any letter case. */
export const isHealthParameter = (key: string): boolean =>
  /^hc(?:template|method|interval|passes|fails|uri|expr)$/i.test(key)

/**
 * httpd's error text for `hc...=value`, from set_worker_hc_param; `undefined` if httpd accepts it, or for another key.
 */
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

/** The check with one parameter changed. `key` is lower-case. A key that is not of a health check changes nothing. */
export function withParameter(check: HealthCheck, key: string, value: string, names: HealthNames): HealthCheck {
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

/** The check of a member. Parameters apply in their order: a template replaces those before it. */
export function readHealthCheck(parameters: ReadonlyMap<string, string>, names: HealthNames): HealthCheck {
  let check = NO_CHECK
  for (const [key, value] of parameters) check = withParameter(check, key, value, names)
  return check
}
