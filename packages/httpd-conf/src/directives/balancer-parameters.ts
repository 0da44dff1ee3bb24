import { atoi } from '../syntax/values.ts'
import { anything, atLeast, between, complaintIn, onOff, type ParameterCheck } from './parameter-checks.ts'

/** Every parameter of a balancer, lower-case, with the limits and the texts of httpd's set_balancer_param. */
const BALANCER: Readonly<Record<string, ParameterCheck>> = {
  stickysession: anything,
  stickysessionsep: value =>
    value.length === 1 || /^off$/i.test(value) ? undefined : 'stickysessionsep must be a single character or Off',
  nofailover: onOff('failover must be On|Off'),
  timeout: atLeast(1, 'timeout must be at least one second'),
  maxattempts: atLeast(0, 'maximum number of attempts must be a positive number'),
  lbmethod: value => (/^(?:byrequests|bytraffic|bybusyness|heartbeat)$/.test(value) ? undefined : 'unknown lbmethod'),
  scolonpathdelim: onOff('scolonpathdelim must be On|Off'),
  failonstatus: value =>
    statusesOf(value).every(status => status >= 100 && status <= 599)
      ? undefined
      : 'failonstatus must be one or more HTTP response codes',
  failontimeout: onOff('failontimeout must be On|Off'),
  nonce: value => (value.length >= 64 ? 'Provided nonce is too large' : undefined),
  growth: between(1, 100, 'growth must be between 1 and 100'),
  forcerecovery: onOff('forcerecovery must be On|Off'),
}

/** The statuses of `failonstatus=`, separated by commas or spaces. */
export const statusesOf = (text: string): number[] =>
  text
    .split(/[, ]+/)
    .filter(word => word !== '')
    .map(atoi)

/** httpd's error text for `key=value` of a balancer; `undefined` if httpd accepts it. */
export const balancerComplaint = (key: string, value: string): string | undefined =>
  complaintIn(BALANCER, key, value, 'unknown Balancer parameter')
