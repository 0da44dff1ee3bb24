import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { isAbsolute, join, resolve } from 'node:path'
import { type BalancerChoice, type WsTunnelOptions, withRequests } from '@ws-tunnel/core'
import { PROFILES, type Profile } from './compile/context.ts'
import { logVariables } from './compile/log-variables.ts'
import { compilePages, type PageLocations } from './compile/page-locations.ts'
import { compileServer } from './compile/server.ts'
import { compileServerSettings, type ServerSettings } from './compile/server-settings.ts'
import { type Diagnostic, HttpdConfError, type Place, Report } from './diagnostics.ts'
import { chooseServer } from './directives/choose-server.ts'
import { mergeServers, type Server, type VirtualHost } from './directives/model.ts'
import { readServers, type Servers } from './directives/reader.ts'
import { type Files, machineFiles } from './syntax/files.ts'
import { type Directive, folderOf, Parser } from './syntax/parser.ts'
import type { Compat } from './syntax/version.ts'
import { splitWords } from './syntax/words.ts'

export type { ErrorDocument } from './compile/error-documents.ts'
export type { HandlerLocation, PageLocations } from './compile/page-locations.ts'
export type { Http2Settings, ReadLimit, ServerSettings } from './compile/server-settings.ts'
export { type Diagnostic, formatDiagnostic, HttpdConfError, type Place, type Severity } from './diagnostics.ts'
export type { Files } from './syntax/files.ts'
export { hostNameTest } from './syntax/host-name.ts'
export type { Compat } from './syntax/version.ts'

/** A configuration, and how to read it. */
export interface HttpdConf {
  /** The directives. @default the content of `file` */
  text?: string
  /** The name of the file, for messages and for relative names. @default 'httpd.conf' */
  file?: string
  /** The virtual host to compile, by ServerName or ServerAlias. @default the only virtual host, or the main server */
  serverName?: string
  /** The version of httpd whose documented behaviour is compiled. @default '2.4.71' */
  compat?: Compat
  /**
   * Directives to leave out by name, although they are not supported and would change security or routing:
   * `['Require']` if a middleware does the access control. @default []
   */
  allow?: readonly string[]
  /** Variables and their values, as Define and `httpd -D` give them. @default {} */
  define?: Readonly<Record<string, string>>
  /** Variables that `${NAME}` stands for if no Define has the name. @default process.env */
  environment?: Readonly<Record<string, string | undefined>>
  /**
   * The folder that relative file names start from, until ServerRoot names another one. @default the folder of `file`
   */
  serverRoot?: string
  /** Modules for which `<IfModule>` holds, in addition to those whose directives are compiled. @default [] */
  modules?: readonly string[]
  /** Lines before those of the file (`httpd -C`). @default [] */
  before?: readonly string[]
  /** Lines after those of the file (`httpd -c`). @default [] */
  after?: readonly string[]
  /** Reads the files of Include and certificates. @default the file system */
  files?: Files
}

/** A compiled configuration. */
export interface Compiled {
  /** The options for `wsTunnel`, and for Fastify; `undefined` if there are errors. */
  readonly options: WsTunnelOptions<object> | undefined
  /** All errors, warnings and ignored lines, in the order in which they were found. */
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * A directive as written, for a server that reads further directives itself, such as Listen or SSLCertificateFile.
 */
export interface PlainDirective {
  /** The name in lower case. */
  readonly key: string
  /** The name as written. */
  readonly name: string
  readonly words: readonly string[]
  readonly place: Place
}

/** A compiled virtual host, or the compiled main server. */
export interface CompiledHost {
  /** The arguments of `<VirtualHost>`; empty for the main server. */
  readonly addresses: readonly string[]
  readonly serverName: string | undefined
  /** The names of ServerAlias, which may have wildcards; see {@link hostNameTest}. */
  readonly names: readonly string[]
  readonly place: Place | undefined
  readonly options: WsTunnelOptions
  /** What a server honours which is not an app. */
  readonly settings: ServerSettings
  /** The sections with `SetHandler balancer-manager` or `server-status`, for a server that serves the manager. */
  readonly pages: PageLocations
  /** The environment variables of a request when it is logged. `choice` is the member that a balancer selected. */
  readonly variables: (req: IncomingMessage, choice?: BalancerChoice) => ReadonlyMap<string, string>
  /** The directives outside of sections, in their order, without those of the main server. */
  readonly directives: readonly PlainDirective[]
}

/** A configuration with all its virtual hosts, compiled. */
export interface CompiledHosts {
  /** `undefined` if there are errors. */
  readonly servers: { readonly main: CompiledHost; readonly hosts: readonly CompiledHost[] } | undefined
  readonly diagnostics: readonly Diagnostic[]
  /** Resolves a file name of the configuration as httpd does, from ServerRoot. */
  readonly absolute: (name: string) => string
}

/** Modules for which `<IfModule>` always holds. */
const MODULES =
  'core so http mpm_event unixd log_config version proxy proxy_http proxy_wstunnel proxy_balancer proxy_hcheck lbmethod_byrequests lbmethod_bytraffic lbmethod_bybusyness slotmem_shm watchdog headers setenvif env rewrite ssl http2 alias authz_core authz_host authz_user authz_groupfile authn_core authn_file auth_basic access_compat allowmethods reqtimeout'

/** Diagnostics of the options that {@link fromHttpdConf} returned. */
const compiled = new WeakMap<object, readonly Diagnostic[]>()

/**
 * Compiles Apache directives into options: `wsTunnel(fromHttpdConf('/etc/apache2/sites-enabled/chat.conf'))`.
 * {@link diagnosticsOf} gives the warnings and the ignored lines.
 *
 * @param source a file name, or a configuration and how to read it.
 * @throws {HttpdConfError} if a line is wrong or not supported; its `diagnostics` have every such line.
 */
export function fromHttpdConf(source: string | HttpdConf): WsTunnelOptions<object> {
  const { options, diagnostics } = compileHttpdConf(source)
  if (options === undefined) throw new HttpdConfError(diagnostics)
  return options
}

/** The request of Node behind that of Fastify. The compiled functions read and compare it. */
const rawRequest = (req: object): IncomingMessage =>
  'raw' in req ? (req.raw as IncomingMessage) : (req as IncomingMessage)

/** The warnings and the ignored lines of options that {@link fromHttpdConf} returned; empty for other options. */
export function diagnosticsOf(options: object): readonly Diagnostic[] {
  return compiled.get(options) ?? []
}

/**
 * Compiles Apache directives into options, and returns the errors instead of throwing them.
 *
 * @throws {Error} if there is no `text`, and the file cannot be read.
 */
export function compileHttpdConf(source: string | HttpdConf): Compiled {
  const reading = read(source)
  const { servers, conf, report } = reading
  const server = chooseServer(servers, conf.serverName, report)
  const options = compileServer({ server, ...reading }, conf.serverName, reading)
  if (options.routes?.length === 0 && !report.failed) warnOfNothing(reading)
  const { diagnostics } = report
  if (report.failed) return { options: undefined, diagnostics }
  const usable = withRequests(withRoute(options), rawRequest)
  compiled.set(usable, diagnostics)
  return { options: usable, diagnostics }
}

/**
 * Compiles the main server of a configuration and all its virtual hosts, for a server that selects a host by address
 * and name.
 *
 * @throws {Error} if there is no `text`, and the file cannot be read.
 */
export function compileVirtualHosts(source: string | HttpdConf): CompiledHosts {
  const reading = read(source)
  const { servers, conf, tree, report, absolute } = reading
  const addressOf = (section: Directive | undefined): string | undefined => section && splitWords(section.args)[0]
  /** The limits of the first host of an address hold for all its hosts, because httpd reads the Host field later. */
  const limitsOf = (section: Directive | undefined): Server['limits'] | undefined => {
    const isFirst = ({ place }: VirtualHost): boolean =>
      addressOf(tree.find(each => each.place === place)) === addressOf(section)
    const first = section && servers.hosts.find(isFirst)
    return first && mergeServers(servers.main, first.server).limits
  }
  const compileHost = (own: Server, section: Directive | undefined): CompiledHost => {
    const merged = section === undefined ? own : mergeServers(servers.main, own)
    const server = { ...merged, limits: limitsOf(section) ?? merged.limits }
    return {
      addresses: section === undefined ? [] : splitWords(section.args),
      serverName: own.serverName,
      names: own.names,
      place: section?.place,
      options: compileServer({ server, ...reading }, conf.serverName, reading),
      settings: compileServerSettings(server, reading, report),
      pages: compilePages(section?.children === undefined ? [tree] : [tree, section.children], report, conf.allow),
      variables: logVariables(server),
      directives: (section?.children ?? tree)
        .filter(({ children }) => children === undefined)
        .map(({ key, name, args, place }) => ({ key, name, words: splitWords(args), place })),
    }
  }
  const main = compileHost(servers.main, undefined)
  const hosts = servers.hosts.map(({ place, server }) =>
    compileHost(
      server,
      tree.find(directive => directive.place === place),
    ),
  )
  if (!report.failed && [main, ...hosts].every(({ options }) => options.routes?.length === 0)) warnOfNothing(reading)
  const { diagnostics } = report
  const usable = (host: CompiledHost): CompiledHost => ({ ...host, options: withRoute(host.options) })
  return {
    servers: report.failed ? undefined : { main: usable(main), hosts: hosts.map(usable) },
    diagnostics,
    absolute,
  }
}

/** Options of a server that proxies nothing hand every request back to the app. */
const withRoute = (options: WsTunnelOptions): WsTunnelOptions =>
  options.routes?.length === 0 ? ({ ...options, routes: [{ path: '/', target: false }] } as WsTunnelOptions) : options

/** Every option of {@link HttpdConf}. */
const KNOWN: readonly string[] = Object.keys({
  file: 0,
  text: 0,
  files: 0,
  serverRoot: 0,
  serverName: 0,
  define: 0,
  environment: 0,
  before: 0,
  after: 0,
  modules: 0,
  compat: 0,
  allow: 0,
} satisfies Record<keyof HttpdConf, 0>)

function unknownOption(name: string): TypeError {
  const near = KNOWN.find(known => known.toLowerCase() === name.toLowerCase())
  return new TypeError(
    `Unknown option \`${name}\`, expected ${near === undefined ? `one of ${KNOWN.join(', ')}` : `\`${near}\``}`,
  )
}

/** A configuration that has been read and is not compiled yet. */
interface Reading {
  readonly conf: HttpdConf
  readonly file: string
  readonly text: string
  readonly files: Files
  readonly profile: Profile
  readonly report: Report
  readonly tree: readonly Directive[]
  readonly servers: Servers
  readonly absolute: (name: string) => string
}

function read(source: string | HttpdConf): Reading {
  const conf = typeof source === 'string' ? { file: source } : source
  for (const name of Object.keys(conf)) if (!KNOWN.includes(name)) throw unknownOption(name)
  const { file = 'httpd.conf', files = machineFiles, compat = '2.4.71', define = {}, modules = [] } = conf
  const profile = PROFILES[compat]
  if (profile === undefined)
    throw new TypeError(`Expected \`compat\` to be ${Object.keys(PROFILES).join(' or ')}, got ${compat}`)
  const report = new Report(conf.allow ?? [])
  const text = conf.text ?? (files === machineFiles ? readFileSync(file, 'utf8') : (files.read(file) ?? ''))
  const surroundings = {
    files,
    report,
    variables: new Map<string, string | undefined>(Object.entries(define)),
    environment: conf.environment ?? process.env,
    modules: new Set([
      ...modules,
      ...MODULES.split(' ').flatMap(name => [`mod_${name}.c`, `${name}.c`, `${name}_module`]),
    ]),
    version: compat === '2.5' ? '2.5.1' : compat,
    serverRoot: conf.serverRoot ?? folderOf(file),
  }
  const parser = new Parser(surroundings)
  const { before = [], after = [] } = conf
  const tree = [
    ...parser.parse(before.join('\n'), '-C'),
    ...parser.parse(text, file),
    ...parser.parse(after.join('\n'), '-c'),
  ]
  const absolute = (name: string): string => (isAbsolute(name) ? name : join(resolve(surroundings.serverRoot), name))
  const servers = readServers(tree, { report, compat, files, absolute })
  return { conf, file, text, files, profile, report, tree, servers, absolute }
}

function warnOfNothing({ file, text, report }: Reading): void {
  const place = { file, line: 1, column: 1, text: text.split('\n', 1)[0] ?? '' }
  report.warn({ name: '', place }, 'nothing is proxied', { expected: 'a ProxyPass or ProxyPassMatch line' })
}
