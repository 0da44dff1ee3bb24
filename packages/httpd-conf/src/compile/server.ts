import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { isSecure } from '../syntax/backend-url.ts'
import type { Files } from '../syntax/files.ts'
import { compileBalancers } from './balancers.ts'
import type { RouteContext, ServerContext } from './context.ts'
import { checkRequestEdits } from './header-editing.ts'
import { compilePhases, localHeadersOf, needsPhases } from './phases.ts'
import { compileLimits } from './request-limits.ts'
import { compilePhaseRoutes } from './rewriting.ts'
import { compileRoutes } from './routes.ts'
import { compileTls } from './tls.ts'
import { compileWorkers } from './workers.ts'

/** The drain timeout, ms. httpd has none: it ends tunnels when it stops. */
const DRAIN_TIMEOUT = 10_000

/** How the files of a configuration are found. */
export interface FileSystem {
  readonly files: Files
  /** A file name as httpd resolves it, from ServerRoot. */
  readonly absolute: (name: string) => string
}

/**
 * Compiles a server, or a virtual host that is merged over the main server.
 *
 * @param requestedName the option `serverName`, for a server without ServerName.
 */
export function compileServer(
  own: ServerContext,
  requestedName: string | undefined,
  { files, absolute }: FileSystem,
): WsTunnelOptions {
  const { server, report } = own
  const serverName = server.serverName ?? requestedName ?? hostname()
  // Compiled once, and only if a route needs it, so that wrong lines without an effect are not reported.
  let tls: ConnectionOptions | undefined | null = null
  const balancers = compileBalancers(own)
  const context: RouteContext = {
    ...own,
    serverName,
    balancers,
    tls: () => {
      if (tls === null) tls = compileTls(server, files, absolute, report)
      return tls
    },
  }
  const workers = compileWorkers(context)
  const routes = compileRoutes(context)
  const phases = needsPhases(context) ? compilePhases(context) : undefined
  const phaseRoutes = phases && compilePhaseRoutes(context, phases)
  const limits = compileLimits(context)
  const localHeaders = localHeadersOf(context, phases)
  if (phases?.guard !== undefined) refuseEarlyMatches(context)
  checkRequestEdits(server, report)
  warnOfMissingMaps(context)
  const common = {
    ...healthCheckDefaults(context),
    // httpd appends to the X-Forwarded-* fields of every client.
    trustProxy: 'append' as const,
    serverName,
    drainTimeout: DRAIN_TIMEOUT,
    workers,
    balancers,
  }
  // Lines with mapping= match before the path is decoded or rewritten. httpd: pre_translate_name.
  const isEarly = ({ mapping = 'decoded' }: (typeof routes)[number]): boolean => mapping !== 'decoded'
  const early = routes.filter(isEarly)
  const late = routes.filter(route => !isEarly(route))
  const before = limits === undefined ? early : [limits, ...early]
  const all = { ...common, ...(localHeaders !== undefined && { localHeaders }) }
  if (phases === undefined || phaseRoutes === undefined) return { ...all, routes: [...before, ...late] }
  return {
    ...all,
    rewrite: phases.rewrite,
    ...(phases.guard !== undefined && { guard: phases.guard }),
    encodedSlashes: server.encodedSlashes ?? 'reject',
    mergeSlashes: server.mergeSlashes ?? true,
    routes: [...before, ...phaseRoutes, ...late],
  }
}

/** Warns of maps that are not defined. httpd takes their values for empty. */
function warnOfMissingMaps({ server, report }: RouteContext): void {
  for (const { map, directive } of server.usedMaps) {
    if (server.maps.has(map)) continue
    const isVariable = /^(?:HTTP|ENV|SSL|LA-U|LA-F)$/i.test(map)
    const at = `\${${map}:`
    const rest = directive.args.slice(directive.args.indexOf(at) + at.length).split('}', 1)[0]
    report.warn(directive, `no RewriteMap is named ${map}, so that its values are empty, in httpd too`, {
      at,
      ...(isVariable && { expected: `perhaps %{${map}:${rest}}` }),
    })
  }
}

/** Lines with mapping= match before the path is decoded, so that the access control of sections could not be applied. */
function refuseEarlyMatches({ server, report }: RouteContext): void {
  const aliases = [...server.aliases, ...server.locations.flatMap(({ scope }) => scope.alias ?? [])]
  for (const alias of aliases)
    if (alias.mapping !== 'decoded')
      report.refuse(alias, 'mapping= beside access control is not supported', { at: 'mapping' })
}

/** Defaults for the health checks of balancers that no route names, because a RewriteRule leads to them. */
function healthCheckDefaults({ balancers, tls }: RouteContext): Pick<WsTunnelOptions, 'join' | 'tls'> {
  const members = Object.values(balancers).flatMap(balancer => balancer.members)
  const checked = members.filter(({ healthCheck }) => healthCheck !== undefined)
  const connection = checked.some(({ url }) => isSecure(url)) ? tls() : undefined
  return checked.length === 0 ? {} : { join: 'concat', ...(connection !== undefined && { tls: connection }) }
}
