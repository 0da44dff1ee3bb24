import type { SecureContext, SecureContextOptions } from 'node:tls'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import type { ServerSettings } from '@ws-tunnel/httpd-conf'
import { type CompiledHost, hostNameTest } from '@ws-tunnel/httpd-conf'
import type { AccessLogSettings, ErrorLogSettings } from './log-directives.ts'

/** An address where a server listens. */
export interface Listen {
  /** Identifies the listener. A reload of the file keeps a listener whose id is unchanged. */
  readonly id: string
  /** `undefined` is every address. */
  readonly host: string | undefined
  /** 0 is a free port that the system chooses. */
  readonly port: number
  /** The port of the virtual hosts that this listener serves. `undefined` serves virtual hosts of every port. */
  readonly filePort: number | undefined
  /** The path of a unix socket, instead of an address. */
  readonly path?: string
  /** The descriptor of a socket that listens already, instead of an address. */
  readonly fd?: number
}

/** TLS towards the clients of a host. */
export interface HostTls {
  /** Certificate, key, protocol and ciphers. */
  readonly options: SecureContextOptions
  readonly context: SecureContext
  /** Whether a certificate is requested from clients. */
  readonly requestCert: boolean
  /** The same for two hosts that a client may use over one connection. */
  readonly identity: string
}

/** A virtual host, or the main server, ready to serve. */
export interface Host {
  readonly serverName: string
  readonly options: WsTunnelOptions
  readonly settings: ServerSettings
  /** `undefined` without TLS. */
  readonly tls: HostTls | undefined
  readonly accessLogs: readonly AccessLogSettings[]
  readonly errorLog: ErrorLogSettings
  /** The environment variables of a request, for its log lines. */
  readonly variables: CompiledHost['variables']
  /** The names of ServerAlias. */
  readonly aliases: readonly string[]
  /** Of `<VirtualHost>`; `undefined` for the main server. */
  readonly place: CompiledHost['place']
  /** Sections that have a page of httpd, and sections with access control. */
  readonly pages: CompiledHost['pages']
  readonly addresses: readonly Address[]
  /** Whether the host has this name, by ServerName or ServerAlias. */
  readonly isNamed: (name: string) => boolean
}

/** An address of `<VirtualHost>`. */
export interface Address {
  /** `undefined` is every address. */
  readonly host: string | undefined
  /** `undefined` is every port. */
  readonly port: number | undefined
}

/** A configuration with all its virtual hosts. */
export interface Configuration {
  readonly main: Host
  readonly hosts: readonly Host[]
  /** The Listen lines. */
  readonly listens: readonly Listen[]
}

/**
 * The hosts of a port, at every address. The first one is the default host. A client that sends no server name gets its
 * certificate.
 */
export function hostsOfPort(configuration: Configuration, filePort: number | undefined): readonly Host[] {
  const atPort = configuration.hosts.filter(({ addresses }) =>
    addresses.some(({ port }) => port === undefined || port === filePort),
  )
  const first = hostsOfConnection(configuration, filePort, undefined)
  return filePort === undefined || atPort.length === 0
    ? first
    : [...new Set([...first, ...atPort])].filter(host => atPort.includes(host))
}

/** The hosts that can serve a connection, the default host first. httpd: ap_update_vhost_given_ip. */
export function hostsOfConnection(
  { main, hosts }: Configuration,
  filePort: number | undefined,
  localAddress: string | undefined,
): readonly Host[] {
  if (filePort === undefined) {
    const plain = hosts.filter(({ tls }) => tls === undefined)
    return plain.length > 0 ? plain : hosts.length > 0 ? hosts : [main]
  }
  const at = (wanted: string | undefined): Host[] =>
    hosts.filter(({ addresses }) =>
      addresses.some(({ host, port }) => host === wanted && (port === undefined || port === filePort)),
    )
  const exact = localAddress === undefined ? [] : at(localAddress)
  if (exact.length > 0) return exact
  const any = at(undefined)
  return any.length > 0 ? any : [main]
}

/** The first host with the name, or else the default host. httpd: matches_aliases. */
export function hostNamed(hosts: readonly Host[], name: string): Host {
  return (name === '' ? undefined : hosts.find(host => host.isNamed(name))) ?? (hosts[0] as Host)
}

/** The name in a Host field: lower-case, without the port and without a final dot. */
export const hostName = (hostField: string): string => hostField.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')

/** Whether a virtual host names the port, or every port. */
export const hasPort = ({ hosts }: Configuration, wanted: number): boolean =>
  hosts.some(({ addresses }) => addresses.some(({ port }) => port === undefined || port === wanted))

/** The addresses where a configuration listens: its Listen lines, or else the ports of its virtual hosts. */
export function listensOf({ listens, hosts }: Configuration): readonly Listen[] {
  if (listens.length > 0) return listens
  const ports = hosts.flatMap(({ addresses }) => addresses.map(({ port }) => port))
  const named = new Set(ports.filter(port => port !== undefined))
  return Array.from(named, port => ({ id: `${port}`, host: undefined, port, filePort: port }))
}

/**
 * The listener of a `--listen` option. Without a FILEPORT it serves the virtual hosts of its own port if there are any,
 * and otherwise the virtual hosts of every port.
 */
export function listenFor(configuration: Configuration, listen: Listen): Listen {
  const { port, filePort } = listen
  return { ...listen, filePort: filePort ?? (hasPort(configuration, port) ? port : undefined) }
}

/** Returns a function that tests whether a name is the ServerName or a ServerAlias of a virtual host. */
export function nameTest({ serverName, names }: CompiledHost): (name: string) => boolean {
  const tests = [...(serverName === undefined ? [] : [serverName]), ...names].map(hostNameTest)
  return name => tests.some(test => test(name))
}
