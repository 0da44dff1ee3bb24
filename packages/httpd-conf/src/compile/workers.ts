import { MAX_DELAY, type WorkerOptions } from '@ws-tunnel/core'
import type { Place } from '../diagnostics.ts'
import type { Alias, Server } from '../directives/model.ts'
import { isWebsocket } from '../syntax/backend-url.ts'
import { atoi, duration } from '../syntax/values.ts'
import { isFallback, type ServerContext } from './context.ts'
import { optionsComplaint } from './options-complaint.ts'
import { times } from './times.ts'

/** Time until the first TCP keep-alive probe, ms: the default of Linux, which httpd does not change. */
const KEEP_ALIVE = 7_200_000

/**
 * The options that the parameters of a worker set. They override those of a route. An option without a parameter is
 * left out.
 */
export function workerSettings(
  parameters: ReadonlyMap<string, string>,
  context: ServerContext,
  websocket: boolean,
): Omit<WorkerOptions, 'url'> {
  const { websocketIdle } = context.server.scope
  const fallback = !websocket || isFallback(undefined, context)
  const isTimed = parameters.has('timeout') || parameters.has('connectiontimeout')
  const upgrade = parameters.get('upgrade')
  const max = atoi(parameters.get('max') ?? '0')
  const acquire = parameters.get('acquire')
  return {
    ...(isTimed && times(parameters, context, { websocketIdle, fallback })),
    ...(upgrade !== undefined && { upgrade: upgradeOf(upgrade) }),
    ...(parameters.get('keepalive')?.toLowerCase() === 'on' && { keepAlive: KEEP_ALIVE }),
    ...(max > 0 && { maxTunnels: max }),
    ...(acquire !== undefined && { acquireTimeout: Math.min(duration(acquire, 'ms') ?? 0, MAX_DELAY) }),
  }
}

function upgradeOf(value: string): string | string[] | false {
  if (/^(?:any|none)$/i.test(value)) return value.toUpperCase()
  const tokens = value.split(/[\s,;]+/).filter(token => token !== '')
  return tokens.length === 0 ? false : tokens
}

/** A worker. The first line with its URL defines it. */
interface Worker {
  readonly url: string
  /** Whether a line with a pattern defines it. Then `$1` in its URL stands for any text. httpd: is_name_matchable. */
  readonly matchable: boolean
  readonly parameters: Map<string, string>
  readonly place: Place
}

const before = (a: Place, b: Place): number => (a.file === b.file ? a.line - b.line : 0)

/**
 * The workers of a server, in the order of the lines that define them. A line shares the worker of an earlier line if
 * its URL begins with the URL of that worker, and either both lines have a path or both have a pattern. httpd:
 * add_pass, set_proxy_param, ap_proxy_get_worker_ex.
 */
export function compileWorkers(context: ServerContext): WorkerOptions[] {
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
    const { place, real, regex, parameters } = line.alias
    if (real === '!' || /^balancer:/i.test(real)) continue
    const matchable = regex !== undefined
    const known = find(real, matchable)
    if (known === undefined) {
      workers.push({ url: real, matchable, parameters: new Map(parameters), place })
      continue
    }
    for (const [key, value] of parameters) {
      report.warn(
        line.alias,
        `Ignoring parameter '${key}=${value}' because of worker sharing: line ${known.place.line} defines the worker, in httpd too`,
        { at: `${key}=`, expected: `the parameter in line ${known.place.line}` },
      )
    }
  }
  if (workers.every(({ parameters }) => parameters.size === 0)) return []
  return workers.map(({ url, parameters, place }) => {
    const worker: WorkerOptions = { url, ...workerSettings(parameters, context, isWebsocket(url)) }
    const complaint = optionsComplaint({ target: false, workers: [worker] })
    if (complaint !== undefined) report.error({ name: /\S+/.exec(place.text)?.[0] ?? '', place }, complaint)
    return worker
  })
}

const sectionAliases = (server: Server): Alias[] =>
  server.locations.flatMap(({ scope }) => (scope.alias === undefined ? [] : [scope.alias]))

const lowerOrigin = (url: string): string =>
  url.replace(/^unix:[^|]*\|/i, '').replace(/^([a-z][a-z0-9]*:\/\/[^/]*)/i, origin => origin.toLowerCase())

/** Whether a line with the other URL shares the worker. httpd: ap_proxy_get_worker_ex, ap_proxy_strcmp_ematch. */
function shares({ url, matchable }: Worker, other: string): boolean {
  const [name, text] = [lowerOrigin(url), lowerOrigin(other)]
  const origin = /^[a-z][a-z0-9]*:\/\/[^/]*/.exec(text)?.[0] ?? text
  if (name.length > text.length || name.length < origin.length) return false
  if (!matchable) return text.startsWith(name)
  // The rest of the URL does not count, so the first position of each piece is enough.
  let end = 0
  return name.split(/(?:\$\d)+/).every((piece, i) => {
    const at = text.indexOf(piece, end)
    end = at + piece.length
    return i === 0 ? at === 0 : at !== -1
  })
}
