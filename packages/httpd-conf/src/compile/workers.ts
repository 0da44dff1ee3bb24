import { createTunnelProxy, type WorkerOptions } from '@ws-tunnel/core'
import type { Place, Report } from '../diagnostics.ts'
import type { Alias, Server } from '../directives/reader.ts'
import { atoi, duration } from '../directives/worker-parameters.ts'
import type { RouteContext } from './routes.ts'

/** Longest delay a Node timer can count. */
export const MAX_DELAY: number = 2 ** 31 - 1
const DEFAULT_TIMEOUT = 60_000

/** Time limits of a route or of a worker, from Timeout, ProxyTimeout and its own parameters. */
export interface Times {
  readonly connectTimeout: number
  readonly handshakeTimeout: number
  readonly idleTimeout: number
  readonly halfOpenTimeout: number
}

/** How httpd combines them. httpd: ap_proxy_http_process_response. */
export function times(
  parameters: ReadonlyMap<string, string>,
  { server, profile }: RouteContext,
  { websocketIdle, fallback }: { websocketIdle: number | undefined; fallback: boolean },
): Times {
  const client = server.timeout ?? DEFAULT_TIMEOUT
  const seconds = parameters.get('timeout')
  const backend = seconds === undefined ? (server.proxyTimeout ?? client) : atoi(seconds) * 1_000
  const connecting = parameters.get('connectiontimeout')
  const combined = profile.idle === 'larger' ? Math.max(client, backend) : Math.min(client, backend)
  const idle = websocketIdle ?? (fallback ? combined : 0)
  const limit = (ms: number): number => Math.min(ms, MAX_DELAY)
  return {
    connectTimeout: limit((connecting === undefined ? undefined : duration(connecting, 's')) ?? backend),
    handshakeTimeout: limit(backend),
    idleTimeout: limit(idle),
    halfOpenTimeout: limit(idle === 0 ? client : idle),
  }
}

export const isWebsocket = (url: string): boolean => /^(?:unix:[^|]+\|)?wss?:/i.test(url)
export const isSecure = (url: string): boolean => /^(?:unix:[^|]+\|)?(?:wss|https):/i.test(url)

/** What the parameters of a worker say over the settings of a route; nothing where they say nothing. */
export function overlay(
  parameters: ReadonlyMap<string, string>,
  context: RouteContext,
  websocket: boolean,
): Omit<WorkerOptions, 'url'> {
  const { server, profile } = context
  const fallback = !websocket || (profile.canFallback && (server.scope.fallback ?? profile.fallback))
  const timed = parameters.has('timeout') || parameters.has('connectiontimeout')
  const upgrade = parameters.get('upgrade')
  const max = atoi(parameters.get('max') ?? '0')
  const acquire = parameters.get('acquire')
  return {
    ...(timed && times(parameters, context, { websocketIdle: server.scope.websocketIdle, fallback })),
    ...(upgrade !== undefined && { upgrade: upgradeOf(upgrade) }),
    ...(parameters.get('keepalive')?.toLowerCase() === 'on' && { keepAlive: 7_200_000 }),
    ...(max > 0 && { maxTunnels: max }),
    ...(acquire !== undefined && { acquireTimeout: Math.min(duration(acquire, 'ms') ?? 0, MAX_DELAY) }),
  }
}

function upgradeOf(value: string): string | string[] | false {
  if (/^(?:any|none)$/i.test(value)) return value.toUpperCase()
  const tokens = value.split(/[\s,;]+/).filter(token => token !== '')
  return tokens.length === 0 ? false : tokens
}

/** A worker as httpd makes it: by the first line with its URL. */
interface Worker {
  readonly url: string
  /** `$1` in its name stands for any text: a line by pattern made it. */
  readonly matchable: boolean
  readonly parameters: Map<string, string>
  readonly place: Place
}

const before = (a: Place, b: Place): number => (a.file === b.file ? a.line - b.line : 0)

/**
 * The workers of a server, in the order of the lines that make them: a line shares that of an earlier one whose URL its own
 * begins with, where both are by path or both by pattern. httpd: add_pass, set_proxy_param, ap_proxy_get_worker_ex.
 */
export function compileWorkers(context: RouteContext): WorkerOptions[] {
  const { server, report } = context
  const workers: Worker[] = []
  const find = (url: string, matchable: boolean): Worker | undefined =>
    workers
      .filter(worker => worker.matchable === matchable && shares(worker, url))
      .toSorted((a, b) => b.url.length - a.url.length)[0]
  const lines = [
    ...server.aliases.concat(sectionAliases(server)).map(alias => ({ alias, place: alias.place })),
    ...[...server.workers].map(([url, { place, parameters }]) => ({ url, place, parameters })),
  ].toSorted((a, b) => before(a.place, b.place))
  for (const line of lines) {
    if ('url' in line) {
      const known = find(line.url, false)
      if (known === undefined) workers.push({ ...line, matchable: false, parameters: new Map(line.parameters) })
      else for (const [key, value] of line.parameters) known.parameters.set(key, value)
      continue
    }
    const { place, name, real, regex, parameters } = line.alias
    if (real === '!' || /^balancer:/i.test(real)) continue
    const matchable = regex !== undefined
    const known = find(real, matchable)
    if (known === undefined) workers.push({ url: real, matchable, parameters: new Map(parameters), place })
    else {
      for (const [key, value] of parameters) {
        report.warn(
          place,
          name,
          `Ignoring parameter '${key}=${value}' because of worker sharing: line ${known.place.line} made the worker, in httpd too`,
          { at: `${key}=`, expected: `the parameter in line ${known.place.line}` },
        )
      }
    }
  }
  if (workers.every(({ parameters }) => parameters.size === 0)) return []
  return workers.map(({ url, parameters, place }) => {
    const compiled = { url, ...overlay(parameters, context, isWebsocket(url)) }
    validate(compiled, place, report)
    return compiled
  })
}

function validate(worker: WorkerOptions, place: Place, report: Report): void {
  try {
    void createTunnelProxy({ target: false, workers: [worker] }).close()
  } catch (error) {
    const [directive = ''] = /\S+/.exec(place.text) ?? []
    report.error(place, directive, (error as Error).message)
  }
}

const sectionAliases = (server: Server): Alias[] =>
  server.locations.flatMap(({ scope }) => (scope.alias === undefined ? [] : [scope.alias]))

const lowerOrigin = (url: string): string =>
  url.replace(/^unix:[^|]*\|/i, '').replace(/^([a-z]+:\/\/[^/]*)/i, origin => origin.toLowerCase())

/** httpd: ap_proxy_get_worker_ex, ap_proxy_strcmp_ematch. */
function shares({ url, matchable }: Worker, other: string): boolean {
  const [name, text] = [lowerOrigin(url), lowerOrigin(other)]
  const origin = /^[a-z]+:\/\/[^/]*/.exec(text)?.[0] ?? text
  if (name.length > text.length || name.length < origin.length) return false
  if (!matchable) return text.startsWith(name)
  // A beginning is enough, so each piece counts where it comes first.
  let end = 0
  return name.split(/(?:\$\d)+/).every((piece, i) => {
    const at = text.indexOf(piece, end)
    end = at + piece.length
    return i === 0 ? at === 0 : at !== -1
  })
}
