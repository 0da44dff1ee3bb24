import type { BalancerOptions, LbMethod, MemberOptions } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import { compileHealthCheck, type HealthCheck } from '../directives/health-parameters.ts'
import { atoi } from '../directives/worker-parameters.ts'
import type { RouteContext } from './routes.ts'
import { isWebsocket, MAX_DELAY, overlay, times } from './workers.ts'

/** One BalancerMember line. */
export interface BalancerMember {
  readonly name: string
  readonly place: Place
  readonly url: string
  readonly parameters: ReadonlyMap<string, string>
  readonly health: HealthCheck
}

/** `<Proxy balancer://name>` and all that is said of it elsewhere. */
export interface Balancer {
  readonly name: string
  readonly place: Place
  readonly parameters: Map<string, string>
  readonly members: BalancerMember[]
}

const onOff =
  (complaint: string) =>
  (value: string): string | undefined =>
    /^(?:on|off)$/i.test(value) ? undefined : complaint

/** Every key of a balancer, lower-case, with the limits and the words of set_balancer_param. */
const BALANCER: Record<string, (value: string) => string | undefined> = {
  stickysession: () => undefined,
  stickysessionsep: value =>
    value.length === 1 || /^off$/i.test(value) ? undefined : 'stickysessionsep must be a single character or Off',
  nofailover: onOff('failover must be On|Off'),
  timeout: value => (atoi(value) < 1 ? 'timeout must be at least one second' : undefined),
  maxattempts: value => (atoi(value) < 0 ? 'maximum number of attempts must be a positive number' : undefined),
  lbmethod: value => (/^(?:byrequests|bytraffic|bybusyness|heartbeat)$/.test(value) ? undefined : 'unknown lbmethod'),
  scolonpathdelim: onOff('scolonpathdelim must be On|Off'),
  failonstatus: value =>
    statuses(value).every(status => status >= 100 && status <= 599)
      ? undefined
      : 'failonstatus must be one or more HTTP response codes',
  failontimeout: onOff('failontimeout must be On|Off'),
  nonce: value => (value.length >= 64 ? 'Provided nonce is too large' : undefined),
  growth: value => (atoi(value) < 1 || atoi(value) > 100 ? 'growth must be between 1 and 100' : undefined),
  forcerecovery: onOff('forcerecovery must be On|Off'),
}

const statuses = (text: string): number[] =>
  text
    .split(/[, ]+/)
    .filter(word => word !== '')
    .map(atoi)

/** httpd's complaint about `key=value` of a balancer, or `undefined` where it has none. */
export function balancerComplaint(key: string, value: string): string | undefined {
  const lower = key.toLowerCase()
  return Object.hasOwn(BALANCER, lower) ? BALANCER[lower]?.(value) : 'unknown Balancer parameter'
}

/** The name in `balancer://name/path`, as httpd compares it. */
export const balancerName = (url: string): string | undefined => /^balancer:\/\/([^/]+)/i.exec(url)?.[1]?.toLowerCase()

/** Balancers as the core takes them; one that is named and never described is empty, in httpd too. */
export function compileBalancers(
  balancers: ReadonlyMap<string, Balancer>,
  context: RouteContext,
): Record<string, BalancerOptions> {
  return Object.fromEntries([...balancers].map(([name, balancer]) => [name, compileBalancer(balancer, context)]))
}

function compileBalancer({ name, place, parameters, members }: Balancer, context: RouteContext): BalancerOptions {
  const on = (key: string, byDefault: boolean): boolean => {
    const value = parameters.get(key)
    return value === undefined ? byDefault : value.toLowerCase() === 'on'
  }
  const method = parameters.get('lbmethod') ?? 'byrequests'
  if (method === 'heartbeat') {
    context.report.refuse(place, '<Proxy', `the lbmethod heartbeat of balancer://${name} is not honoured`, {
      expected: 'byrequests, bytraffic or bybusyness',
    })
  }
  const [, cookie = '', path = cookie] = /^([^|]*)(?:\|(.*))?/.exec(parameters.get('stickysession') ?? '') ?? []
  const separator = parameters.get('stickysessionsep') ?? '.'
  const attempts = parameters.get('maxattempts')
  return {
    members: members.map(member => compileMember(member, context)),
    lbMethod: (method === 'heartbeat' ? 'byrequests' : method) as LbMethod,
    ...(cookie !== '' && {
      stickySession: {
        cookie,
        path,
        separator: separator.length === 1 ? separator : false,
        semicolonEnds: on('scolonpathdelim', false),
        noFailover: on('nofailover', false),
      },
    }),
    ...(attempts !== undefined && { maxAttempts: atoi(attempts) }),
    timeout: Math.min(atoi(parameters.get('timeout') ?? '0') * 1_000, MAX_DELAY),
    failOnStatus: statuses(parameters.get('failonstatus') ?? ''),
    failOnTimeout: on('failontimeout', false),
    forceRecovery: on('forcerecovery', true),
  }
}

function compileMember({ url, parameters, place, name, health }: BalancerMember, context: RouteContext): MemberOptions {
  const websocket = isWebsocket(url)
  const routeId = parameters.get('route')
  const redirect = parameters.get('redirect')
  const { handshakeTimeout } = times(parameters, context, { websocketIdle: undefined, fallback: true })
  const healthCheck = compileHealthCheck(health, { url, place, name }, handshakeTimeout, context.report)
  return {
    url,
    upgrade: websocket ? 'websocket' : false,
    ...overlay(parameters, context, websocket),
    ...(routeId !== undefined && { routeId }),
    ...(redirect !== undefined && { redirect }),
    loadFactor: Math.trunc(Number.parseFloat(parameters.get('loadfactor') ?? '1') * 100) / 100,
    lbSet: atoi(parameters.get('lbset') ?? '0'),
    retry: Math.min(atoi(parameters.get('retry') ?? '60') * 1_000, MAX_DELAY),
    status: lettersOf(parameters.get('status') ?? ''),
    ...(healthCheck !== undefined && { healthCheck }),
  }
}

/** Letters as the core knows them: `U` takes a member out for good, as `D` does; `O`, `G` and `F` change nothing. */
const lettersOf = (status: string): string => status.replace(/[ogf]/gi, '').replace(/u/gi, 'D')
