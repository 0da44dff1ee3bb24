import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
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
import { type Address, type Configuration, type Host, type Listen, nameTest } from './virtual-hosts.ts'

/** The outcome of {@link load}. */
export interface Loaded {
  /** `undefined` when a diagnostic is an error. */
  readonly configuration: Configuration | undefined
  /** Diagnostics of the compiled options. */
  readonly diagnostics: readonly Diagnostic[]
  /** Diagnostics of directives that only a standalone server reads, such as SSLCertificateFile. */
  readonly serverDiagnostics: readonly Diagnostic[]
}

/**
 * Directives that this server honours. The compiler reports them as ignored, because a middleware does not use them.
 */
const HONOURED = new Set(
  'listen sslengine sslcertificatefile sslcertificatekeyfile sslcertificatechainfile logformat customlog transferlog loglevel'.split(
    ' ',
  ),
)

/**
 * Reads a configuration with all its virtual hosts.
 *
 * @throws the file system's error when a file cannot be read.
 */
export function load(conf: HttpdConf): Loaded {
  const compiled = compileVirtualHosts(conf)
  const serverDiagnostics: Diagnostic[] = []
  const diagnostics = compiled.diagnostics.filter(
    ({ severity, directive }) => severity !== 'ignored' || !HONOURED.has(directive.toLowerCase()),
  )
  const { servers } = compiled
  if (servers === undefined) return { configuration: undefined, diagnostics, serverDiagnostics }
  const reader = new HostReader(servers.main, compiled.absolute, serverDiagnostics)
  const configuration = {
    main: reader.host(servers.main),
    hosts: servers.hosts.map(host => reader.host(host)),
    listens: reader.listens(),
  }
  const failed = serverDiagnostics.some(({ severity }) => severity === 'error')
  return { configuration: failed ? undefined : configuration, diagnostics, serverDiagnostics }
}

/** Splits an address and a port, as Listen and `<VirtualHost>` write them. */
function readAddress(text: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const colon = text.lastIndexOf(':')
  if (bracketed !== null) return { host: bracketed[1] as string, port: bracketed[2] }
  return colon === -1 ? { host: text, port: undefined } : { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535

/** Reads the directives that a standalone server needs beside the routes: Listen, TLS, logs. */
class HostReader {
  readonly #main: CompiledHost
  readonly #absolute: CompiledHosts['absolute']
  readonly #diagnostics: Diagnostic[]

  constructor(main: CompiledHost, absolute: CompiledHosts['absolute'], diagnostics: Diagnostic[]) {
    this.#main = main
    this.#absolute = absolute
    this.#diagnostics = diagnostics
  }

  host(compiled: CompiledHost): Host {
    const { options, serverName, place, addresses } = compiled
    return {
      serverName: serverName ?? String(options.serverName),
      options,
      tls: this.#tls(compiled),
      log: this.#log(compiled),
      logLevel: this.#logLevel(compiled),
      addresses: addresses.map(text => this.#address(text, place as Subject['place'])),
      isNamed: nameTest(compiled),
    }
  }

  /** An address of `<VirtualHost>`. A host name is not looked up, and stands for every address. */
  #address(text: string, place: Subject['place']): Address {
    const { host, port } = readAddress(text)
    const isEvery = host === '*' || host === '_default_'
    if (!isEvery && isIP(host) === 0) {
      const message = `${host} is not an IP address and is read as *`
      this.#report('warning', { place, name: '<VirtualHost' }, message, 'an IP address or *')
    }
    return {
      host: isEvery || isIP(host) === 0 ? undefined : host,
      port: port === undefined || port === '*' ? undefined : Number(port),
    }
  }

  listens(): Listen[] {
    return this.#main.directives
      .filter(({ key }) => key === 'listen')
      .flatMap(directive => {
        const [text = ''] = directive.words
        const { host, port } = /^\d+$/.test(text) ? { host: '*', port: text } : readAddress(text)
        if (port === undefined || !isPort(port)) {
          this.#report('error', directive, 'Port must be specified', '[address:]port')
          return []
        }
        const any = host === '*'
        return [{ id: any ? port : text, host: any ? undefined : host, port: Number(port), filePort: Number(port) }]
      })
  }

  /** The last line of the directive in the host, or else in the main server. */
  #find({ directives }: CompiledHost, key: string): PlainDirective | undefined {
    const is = (directive: PlainDirective): boolean => directive.key === key
    return directives.findLast(is) ?? this.#main.directives.findLast(is)
  }

  #tls(host: CompiledHost): Host['tls'] {
    const engine = this.#find(host, 'sslengine')
    const on = engine?.words[0]?.toLowerCase() ?? 'off'
    if (engine === undefined || on === 'off') return undefined
    if (on !== 'on') {
      this.#report('error', engine, `${engine.name} ${on} is not supported`, 'On or Off')
      return undefined
    }
    const file = this.#find(host, 'sslcertificatefile')
    if (file === undefined) {
      this.#report(
        'error',
        engine,
        'Server should be SSL-aware but has no certificate configured',
        'SSLCertificateFile',
      )
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
      this.#report('error', keyFile, `certificate and key cannot be used: ${(error as Error).message}`)
      return undefined
    }
  }

  #pem(directive: PlainDirective): string | undefined {
    const name = this.#absolute(directive.words[0] ?? '')
    try {
      return readFileSync(name, 'utf8')
    } catch {
      this.#report('error', directive, `${directive.name}: file '${name}' does not exist or is empty`)
      return undefined
    }
  }

  /** The format of the host's first log, or else of the main server's first log. */
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
        if (format.unsupported.length > 0)
          this.#report('warning', at, `written as "-": ${format.unsupported.join(' ')}`)
        return format
      }
      this.#report('error', at, format)
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
    this.#report('error', directive, `unknown level ${level}`, LEVELS.slice(0, 8).join(', '))
    return 'warn'
  }

  /** Adds a diagnostic once. Several hosts that inherit a line from the main server would report it several times. */
  #report(severity: 'error' | 'warning', { place, name }: Subject, message: string, expected?: string): void {
    const isKnown = this.#diagnostics.some(
      each => each.file === place.file && each.line === place.line && each.message === message,
    )
    if (!isKnown) this.#diagnostics.push({ ...place, severity, directive: name, message, expected, httpd: undefined })
  }
}

/** The directive that a diagnostic is about. */
type Subject = Pick<PlainDirective, 'place' | 'name'>
