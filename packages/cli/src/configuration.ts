import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import {
  type CompiledHost,
  type CompiledHosts,
  compileVirtualHosts,
  type Diagnostic,
  type HttpdConf,
  type PlainDirective,
} from '@ws-tunnel/httpd-conf'
import { compileFormat, DEFAULT_FORMAT, type LogFormat, NICKNAMES } from './access-log.ts'
import { LEVELS } from './error-log.ts'

/** Where a server listens. */
export interface Listen {
  /** Tells it from others, and is the same when the file is read again. */
  readonly id: string
  /** Any address where it is left out. */
  readonly host: string | undefined
  /** 0 is one that is free. */
  readonly port: number
  /** The port that virtual hosts name; `undefined` is whatever they name. */
  readonly servedAs: number | undefined
}

/** A virtual host, or the main server, ready to serve. */
export interface Host {
  readonly serverName: string
  readonly options: WsTunnelOptions
  /** Certificate and key, where TLS is on. */
  readonly tls: { readonly cert: string; readonly key: string; readonly context: SecureContext } | undefined
  readonly log: LogFormat
  readonly logLevel: string
  readonly addresses: readonly Address[]
  readonly answersTo: (name: string) => boolean
}

interface Address {
  /** `undefined` is every address. */
  readonly host: string | undefined
  /** `undefined` is every port. */
  readonly port: number | undefined
}

/** A configuration with all its virtual hosts. */
export interface Configuration {
  readonly main: Host
  readonly hosts: readonly Host[]
  /** Listen lines. */
  readonly listens: readonly Listen[]
}

/** A configuration, or why there is none. */
export interface Loaded {
  readonly configuration: Configuration | undefined
  readonly diagnostics: readonly Diagnostic[]
  /** What concerns a server of its own alone, not the compiled options. */
  readonly own: readonly Diagnostic[]
}

/** What the server that reads the configuration itself does honour. */
const HONOURED = new Set(
  'listen sslengine sslcertificatefile sslcertificatekeyfile sslcertificatechainfile logformat customlog transferlog loglevel'.split(
    ' ',
  ),
)

/**
 * Reads a file with all its virtual hosts.
 *
 * @throws {Error} for a file that cannot be read.
 */
export function load(conf: HttpdConf): Loaded {
  const compiled = compileVirtualHosts(conf)
  const own: Diagnostic[] = []
  const diagnostics = compiled.diagnostics.filter(
    ({ severity, directive }) => severity !== 'ignored' || !HONOURED.has(directive.toLowerCase()),
  )
  const { servers } = compiled
  if (servers === undefined) return { configuration: undefined, diagnostics, own }
  const reader = new Reader(servers.main, compiled.absolute, own)
  const configuration = {
    main: reader.host(servers.main),
    hosts: servers.hosts.map(host => reader.host(host)),
    listens: reader.listens(),
  }
  const failed = own.some(({ severity }) => severity === 'error')
  return { configuration: failed ? undefined : configuration, diagnostics, own }
}

/** All hosts of a port, at whatever address; the default one, whose certificate a client gets that names none, first. */
export function hostsOf(configuration: Configuration, servedAs: number | undefined): readonly Host[] {
  const atPort = configuration.hosts.filter(({ addresses }) =>
    addresses.some(({ port }) => port === undefined || port === servedAs),
  )
  const first = candidates(configuration, servedAs, undefined)
  return servedAs === undefined || atPort.length === 0
    ? first
    : [...new Set([...first, ...atPort])].filter(host => atPort.includes(host))
}

/** The hosts a connection may be for, the default one first. httpd: ap_update_vhost_given_ip. */
export function candidates(
  { main, hosts }: Configuration,
  servedAs: number | undefined,
  localAddress: string | undefined,
): readonly Host[] {
  if (servedAs === undefined) {
    const plain = hosts.filter(({ tls }) => tls === undefined)
    return plain.length > 0 ? plain : hosts.length > 0 ? hosts : [main]
  }
  const at = (wanted: string | undefined): Host[] =>
    hosts.filter(({ addresses }) =>
      addresses.some(({ host, port }) => host === wanted && (port === undefined || port === servedAs)),
    )
  const exact = localAddress === undefined ? [] : at(localAddress)
  if (exact.length > 0) return exact
  const any = at(undefined)
  return any.length > 0 ? any : [main]
}

/** The host of a name, or the default one. httpd: matches_aliases. */
export function hostFor(list: readonly Host[], name: string): Host {
  return (name === '' ? undefined : list.find(host => host.answersTo(name))) ?? (list[0] as Host)
}

/** The name in a Host field: lower-case, without port and final dot. */
export const nameOf = (hostField: string): string => hostField.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')

/** Whether some virtual host names the port, or every one. */
export const namesPort = ({ hosts }: Configuration, wanted: number): boolean =>
  hosts.some(({ addresses }) => addresses.some(({ port }) => port === undefined || port === wanted))

/** Where a configuration says to listen: its Listen lines, or else the ports of its virtual hosts. */
export function listensOf({ listens, hosts }: Configuration): readonly Listen[] {
  if (listens.length > 0) return listens
  const ports = hosts.flatMap(({ addresses }) => addresses.map(({ port }) => port))
  const named = new Set(ports.filter(port => port !== undefined))
  return Array.from(named, port => ({ id: `${port}`, host: undefined, port, servedAs: port }))
}

/** An address and a port, as Listen and VirtualHost write them. */
function readAddress(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const colon = text.lastIndexOf(':')
  if (bracketed !== null) return { host: bracketed[1] as string, port: bracketed[2] }
  return colon === -1 ? { host: text, port: undefined } : { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535

/** A name with wildcards, as ServerAlias has it. */
function nameTest(pattern: string): (name: string) => boolean {
  const source = pattern
    .replace(/[^\w*?]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  const test = new RegExp(`^${source}$`, 'i')
  return name => test.test(name.slice(0, 255))
}

/** Whether a virtual host is called by a name: its ServerName or one of its ServerAlias. */
export function namesOf({ serverName, names }: CompiledHost): (name: string) => boolean {
  const tests = [...(serverName === undefined ? [] : [serverName]), ...names].map(nameTest)
  return name => tests.some(test => test(name))
}

/** Reads what a server of its own needs beside the routes. */
class Reader {
  readonly #main: CompiledHost
  readonly #absolute: CompiledHosts['absolute']
  readonly #own: Diagnostic[]

  constructor(main: CompiledHost, absolute: CompiledHosts['absolute'], own: Diagnostic[]) {
    this.#main = main
    this.#absolute = absolute
    this.#own = own
  }

  host(compiled: CompiledHost): Host {
    const { options, serverName, place, addresses } = compiled
    return {
      serverName: serverName ?? String(options.serverName),
      options,
      tls: this.#tls(compiled),
      log: this.#log(compiled),
      logLevel: this.#logLevel(compiled),
      addresses: addresses.map(text => {
        const { host, port } = readAddress(text)
        const every = host === '*' || host === '_default_'
        if (!every && isIP(host) === 0) {
          const at = { place: place as SaidOf['place'], name: '<VirtualHost' }
          this.#say('warning', at, `${host} is no address: it is taken for *`, 'an address or *')
        }
        return {
          host: every || isIP(host) === 0 ? undefined : host,
          port: port === undefined || port === '*' ? undefined : Number(port),
        }
      }),
      answersTo: namesOf(compiled),
    }
  }

  listens(): Listen[] {
    return this.#main.directives
      .filter(({ key }) => key === 'listen')
      .flatMap(directive => {
        const [text = ''] = directive.words
        const { host, port } = /^\d+$/.test(text) ? { host: '*', port: text } : readAddress(text)
        if (port === undefined || !isPort(port)) {
          this.#say('error', directive, 'Port must be specified', '[address:]port')
          return []
        }
        const any = host === '*'
        return [{ id: any ? port : text, host: any ? undefined : host, port: Number(port), servedAs: Number(port) }]
      })
  }

  /** The last line of a directive in the host, or else in the main server. */
  #find({ directives }: CompiledHost, key: string): PlainDirective | undefined {
    const is = (directive: PlainDirective): boolean => directive.key === key
    return directives.findLast(is) ?? this.#main.directives.findLast(is)
  }

  #tls(host: CompiledHost): Host['tls'] {
    const engine = this.#find(host, 'sslengine')
    const on = engine?.words[0]?.toLowerCase() ?? 'off'
    if (engine === undefined || on === 'off') return undefined
    if (on !== 'on') {
      this.#say('error', engine, `${engine.name} ${on} is not supported`, 'On or Off')
      return undefined
    }
    const file = this.#find(host, 'sslcertificatefile')
    if (file === undefined) {
      this.#say('error', engine, 'Server should be SSL-aware but has no certificate configured', 'SSLCertificateFile')
      return undefined
    }
    const keyFile = this.#find(host, 'sslcertificatekeyfile') ?? file
    const chainFile = this.#find(host, 'sslcertificatechainfile')
    const cert = this.#pem(file)
    const key = this.#pem(keyFile)
    const chain = chainFile === undefined ? '' : this.#pem(chainFile)
    if (cert === undefined || key === undefined || chain === undefined) return undefined
    try {
      const chained = `${cert}\n${chain}`
      return { cert: chained, key, context: createSecureContext({ cert: chained, key }) }
    } catch (error) {
      this.#say('error', keyFile, `certificate and key cannot be used: ${(error as Error).message}`)
      return undefined
    }
  }

  #pem(directive: PlainDirective): string | undefined {
    const name = this.#absolute(directive.words[0] ?? '')
    try {
      return readFileSync(name, 'utf8')
    } catch {
      this.#say('error', directive, `${directive.name}: file '${name}' does not exist or is empty`)
      return undefined
    }
  }

  /** The format of the host's first log, or else of the main server's. */
  #log(host: CompiledHost): LogFormat {
    const wanted = ({ directives }: CompiledHost): PlainDirective | undefined =>
      directives.find(({ key }) => key === 'customlog' || key === 'transferlog')
    const directive = wanted(host) ?? wanted(this.#main)
    const formats = [...this.#main.directives, ...(host === this.#main ? [] : host.directives)].filter(
      ({ key }) => key === 'logformat',
    )
    const named = (nickname: string): PlainDirective | undefined =>
      formats.findLast(({ words: [, name] }) => name?.toLowerCase() === nickname.toLowerCase())
    const compile = (text: string, at: PlainDirective): LogFormat => {
      const format = compileFormat(text)
      if (typeof format !== 'string') {
        if (format.leftOut.length > 0) this.#say('warning', at, `written as "-": ${format.leftOut.join(' ')}`)
        return format
      }
      this.#say('error', at, format)
      return compileFormat(DEFAULT_FORMAT) as LogFormat
    }
    for (const format of formats) compile(format.words[0] ?? '', format)
    if (directive?.key === 'transferlog') {
      const last = formats.findLast(({ words }) => words.length === 1)
      return last === undefined ? compile(NICKNAMES['common'] as string, directive) : compile(last.words[0] ?? '', last)
    }
    if (directive === undefined) return compileFormat(DEFAULT_FORMAT) as LogFormat
    const text = directive.words[1] ?? DEFAULT_FORMAT
    const format = named(text)
    return format === undefined
      ? compile(NICKNAMES[text.toLowerCase()] ?? text, directive)
      : compile(format.words[0] ?? '', format)
  }

  #logLevel(host: CompiledHost): string {
    const directive = this.#find(host, 'loglevel')
    if (directive === undefined) return 'warn'
    const level = directive.words.find(word => !word.includes(':'))?.toLowerCase() ?? 'warn'
    if ((LEVELS as readonly string[]).includes(level)) return level
    this.#say('error', directive, `unknown level ${level}`, LEVELS.slice(0, 8).join(', '))
    return 'warn'
  }

  #say(severity: 'error' | 'warning', { place, name }: SaidOf, message: string, expected?: string): void {
    const same = this.#own.some(
      each => each.file === place.file && each.line === place.line && each.message === message,
    )
    if (!same) this.#own.push({ ...place, severity, directive: name, message, expected, httpd: undefined })
  }
}

type SaidOf = Pick<PlainDirective, 'place' | 'name'>
