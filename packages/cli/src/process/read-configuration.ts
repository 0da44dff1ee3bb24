import type { Loaded } from '../configuration/configuration.ts'
import { diagnosticsText, isError } from '../configuration/diagnostics-text.ts'
import {
  type Configuration,
  hostName,
  hostsOfPort,
  type Listen,
  listenFor,
  listensOf,
} from '../configuration/virtual-hosts.ts'
import type { PagePaths } from '../gateway/pages.ts'
import { type InheritedSocket, inheritedSockets } from './service-manager.ts'

/** Settings of `ws-tunnel run`. */
export interface RunSettings {
  /** Reads the configuration. It is called at the start and at every reload. */
  readonly load: () => Loaded
  /** Serves only the virtual host with this name. */
  readonly serverName: string | undefined
  /** Addresses that replace the file's Listen lines, if there are any. */
  readonly listens: readonly Listen[]
  /** The time that open tunnels have after SIGTERM or SIGINT, ms. */
  readonly drainTimeout: number
  /** The last part of it, in which the tunnels that are left end one after another, ms. */
  readonly drainSpread: number
  /** The time before it in which requests are still accepted, and the health page says that it ends, ms. */
  readonly noticeTime: number
  /** Number of processes that serve; `undefined` is one, without a process above it if none is needed. */
  readonly workers: number | undefined
  readonly isJson: boolean
  readonly pages: PagePaths
  /** The unix socket through which a process takes over from the one before it. */
  readonly handover: string | undefined
}

/** A configuration that can be served. */
export interface Ready {
  readonly configuration: Configuration
  readonly listens: readonly Listen[]
  readonly warnings: string
}

/** Reads a configuration. Returns the text of the problem if it cannot be served. */
export function readConfiguration({ load, serverName, listens }: RunSettings): Ready | { problem: string } {
  const { configuration: whole, diagnostics, serverDiagnostics } = load()
  const all = [...diagnostics, ...serverDiagnostics]
  if (whole === undefined) return { problem: diagnosticsText(all.filter(isError)) }
  const configuration = serverName === undefined ? whole : only(whole, serverName)
  if (configuration === undefined) return { problem: `ws-tunnel: no virtual host is named ${serverName}\n` }
  const own = listens.length > 0 ? listens.map(listen => listenFor(configuration, listen)) : listensOf(configuration)
  const inherited = inheritedSockets()
  const unwanted = inherited.find(socket => !own.some(listen => isFor(socket, listen)))
  if (unwanted !== undefined && own.length > 0)
    return { problem: `ws-tunnel: LISTEN_FDS has ${nameOf(unwanted)}, for which there is no Listen line\n` }
  const wanted = own.length > 0 ? own.map(listen => inherit(listen, inherited)) : inherited.map(listenOf)
  if (wanted.length === 0) {
    return {
      problem: 'ws-tunnel: no listening sockets available: the file has no Listen line, so --listen is needed\n',
    }
  }
  for (const { port, filePort } of wanted) {
    const secure = new Set(hostsOfPort(configuration, filePort).map(({ tls }) => tls !== undefined))
    if (secure.size > 1) {
      return {
        problem: `ws-tunnel: the virtual hosts of port ${filePort ?? port} must all have SSLEngine On, or none\n`,
      }
    }
  }
  const warnings = diagnosticsText(all.filter(({ severity }) => severity === 'warning'))
  return { configuration, listens: wanted, warnings }
}

/** Reduces a configuration to the virtual hosts with a name. They then serve every Host field. */
function only(configuration: Configuration, name: string): Configuration | undefined {
  if (configuration.hosts.length === 0) return configuration
  const found = configuration.hosts.filter(host => host.isNamed(hostName(name)))
  return found.length === 0 ? undefined : { ...configuration, hosts: found }
}

const isFor = ({ port, path }: InheritedSocket, listen: Listen): boolean =>
  listen.path === undefined ? port === listen.port : path === listen.path

const nameOf = ({ fd, port, path }: InheritedSocket): string =>
  path ?? (port === undefined ? `descriptor ${fd}` : `port ${port}`)

/** The listener with the descriptor of the service manager, if there is one for its address. */
function inherit(listen: Listen, sockets: readonly InheritedSocket[]): Listen {
  const socket = sockets.find(each => isFor(each, listen))
  return socket === undefined ? listen : { ...listen, fd: socket.fd }
}

const listenOf = ({ fd, port, path }: InheritedSocket): Listen => ({
  id: `fd:${fd}`,
  host: undefined,
  port: port ?? 0,
  filePort: port,
  fd,
  ...(path !== undefined && { path }),
})
