import { type BalancerOptions, type LbMethod, MAX_DELAY, type MemberOptions } from '@ws-tunnel/core'
import { statusesOf } from '../directives/balancer-parameters.ts'
import type { Balancer, BalancerMember } from '../directives/model.ts'
import { isWebsocket } from '../syntax/backend-url.ts'
import { atoi } from '../syntax/values.ts'
import type { ServerContext } from './context.ts'
import { compileHealthCheck } from './health-checks.ts'
import { times } from './times.ts'
import { workerSettings } from './workers.ts'

/** The balancers of a server by name. A balancer that no section describes has no members, in httpd too. */
export function compileBalancers(context: ServerContext): Record<string, BalancerOptions> {
  const { balancers } = context.server
  return Object.fromEntries([...balancers].map(([name, balancer]) => [name, compileBalancer(balancer, context)]))
}

function compileBalancer({ name, place, parameters, members }: Balancer, context: ServerContext): BalancerOptions {
  const isOn = (key: string, byDefault: boolean): boolean => {
    const value = parameters.get(key)
    return value === undefined ? byDefault : value.toLowerCase() === 'on'
  }
  const method = parameters.get('lbmethod') ?? 'byrequests'
  if (method === 'heartbeat') {
    const message = `the lbmethod heartbeat of balancer://${name} is not supported`
    context.report.refuse({ name: '<Proxy', place }, message, { expected: 'byrequests, bytraffic or bybusyness' })
  }
  const attempts = parameters.get('maxattempts')
  const [, cookie = '', path = cookie] = /^([^|]*)(?:\|(.*))?/.exec(parameters.get('stickysession') ?? '') ?? []
  const separator = parameters.get('stickysessionsep') ?? '.'
  const stickySession = {
    cookie,
    path,
    separator: separator.length === 1 ? separator : (false as const),
    semicolonEnds: isOn('scolonpathdelim', false),
    noFailover: isOn('nofailover', false),
  }
  return {
    members: members.map(member => compileMember(member, context)),
    lbMethod: (method === 'heartbeat' ? 'byrequests' : method) as LbMethod,
    ...(cookie !== '' && { stickySession }),
    ...(attempts !== undefined && { maxAttempts: atoi(attempts) }),
    timeout: Math.min(atoi(parameters.get('timeout') ?? '0') * 1_000, MAX_DELAY),
    failOnStatus: statusesOf(parameters.get('failonstatus') ?? ''),
    failOnTimeout: isOn('failontimeout', false),
    forceRecovery: isOn('forcerecovery', true),
  }
}

function compileMember(member: BalancerMember, context: ServerContext): MemberOptions {
  const { url, parameters } = member
  const websocket = isWebsocket(url)
  const routeId = parameters.get('route')
  const redirect = parameters.get('redirect')
  const { handshakeTimeout } = times(parameters, context, { websocketIdle: undefined, fallback: true })
  const healthCheck = compileHealthCheck(member, handshakeTimeout, context.report)
  return {
    url,
    upgrade: websocket ? 'websocket' : false,
    ...workerSettings(parameters, context, websocket),
    ...(routeId !== undefined && { routeId }),
    ...(redirect !== undefined && { redirect }),
    // httpd keeps load factors in hundredths.
    loadFactor: Math.trunc(Number.parseFloat(parameters.get('loadfactor') ?? '1') * 100) / 100,
    lbSet: atoi(parameters.get('lbset') ?? '0'),
    retry: Math.min(atoi(parameters.get('retry') ?? '60') * 1_000, MAX_DELAY),
    status: lettersOf(parameters.get('status') ?? ''),
    ...(healthCheck !== undefined && { healthCheck }),
  }
}

/** Status letters of the core: `U` takes a member out of use, as `D` does; `O`, `G` and `F` have no effect. */
const lettersOf = (status: string): string => status.replace(/[ogf]/gi, '').replace(/u/gi, 'D')
