import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { compileBalancers } from './compile/balancers.ts'
import { compileRewriting } from './compile/rewriting.ts'
import { checkRequestEdits, compileRoutes, type Profile, type RouteContext } from './compile/routes.ts'
import { compileTls } from './compile/tls.ts'
import { compileWorkers, isSecure } from './compile/workers.ts'
import { type Diagnostic, HttpdConfError, type Place, Report } from './diagnostics.ts'
import { emptyServer, mergeServers, type Server, ServerReader } from './directives/reader.ts'
import { type Files, machineFiles } from './syntax/files.ts'
import { type Directive, folderOf, Parser } from './syntax/parser.ts'
import { splitWords } from './syntax/words.ts'

export { type Diagnostic, formatDiagnostic, HttpdConfError, type Place, type Severity } from './diagnostics.ts'
export type { Files } from './syntax/files.ts'

/** A version of httpd whose documented behaviour is wanted. */
export type Compat = '2.4.71' | '2.4.47' | '2.4.46' | '2.5'

/** A configuration and how to read it. */
export interface HttpdConf {
  /** The directives. Without it the file is read. */
  text?: string
  /** The file's name, for messages, Include and to be read where there is no `text`. @default 'httpd.conf' */
  file?: string
  /** The virtual host to compile, by ServerName or ServerAlias; needed where there are several. */
  serverName?: string
  /** Which httpd's documented behaviour. @default '2.4.71' */
  compat?: Compat
  /** Directives that cannot be honoured and are left out all the same, by name: access control that a middleware does instead, for instance. @default [] */
  allow?: readonly string[]
  /** Define: variables and their values, as `httpd -D` and its environment give them. @default {} */
  define?: Readonly<Record<string, string>>
  /** Where relative file names begin until ServerRoot says otherwise. @default the folder of `file` */
  serverRoot?: string
  /** More modules for which `<IfModule>` holds. @default those that are compiled here */
  modules?: readonly string[]
  /** The way to files for Include and certificates. @default the file system */
  files?: Files
}

/** What came of a configuration. */
export interface Compiled {
  /** Options for `wsTunnel`; `undefined` where there are errors. */
  readonly options: WsTunnelOptions | undefined
  /** Everything there is to say, in the order of the lines. */
  readonly diagnostics: readonly Diagnostic[]
}

/** A directive as a server reads it that serves the configuration itself: Listen, SSLCertificateFile, CustomLog. */
export interface PlainDirective {
  /** Lower-case. */
  readonly key: string
  /** As written. */
  readonly name: string
  readonly words: readonly string[]
  readonly place: Place
}

/** A virtual host, or the main server, compiled. */
export interface CompiledHost {
  /** What stands in `<VirtualHost>`; none for the main server. */
  readonly addresses: readonly string[]
  readonly serverName: string | undefined
  /** ServerAlias; may have wildcards. */
  readonly names: readonly string[]
  readonly place: Place | undefined
  readonly options: WsTunnelOptions
  /** Its own directives outside of sections, in their order; those of the main server are not repeated. */
  readonly directives: readonly PlainDirective[]
}

/** What came of a configuration with all its virtual hosts. */
export interface CompiledHosts {
  /** `undefined` where there are errors. */
  readonly servers: { readonly main: CompiledHost; readonly hosts: readonly CompiledHost[] } | undefined
  readonly diagnostics: readonly Diagnostic[]
  /** A file name of the configuration, as httpd finds it from ServerRoot. */
  readonly absolute: (name: string) => string
}

const PROFILES: Record<Compat, Profile> = {
  '2.4.71': { fallback: true, canFallback: true, idle: 'larger' },
  '2.4.47': { fallback: true, canFallback: true, idle: 'smaller' },
  '2.4.46': { fallback: false, canFallback: false, idle: 'larger' },
  '2.5': { fallback: true, canFallback: true, idle: 'larger' },
}

const MODULES =
  'core so http mpm_event unixd log_config version proxy proxy_http proxy_wstunnel proxy_balancer proxy_hcheck lbmethod_byrequests lbmethod_bytraffic lbmethod_bybusyness slotmem_shm watchdog headers setenvif env rewrite ssl http2 alias authz_core authz_host'

const compiled = new WeakMap<object, readonly Diagnostic[]>()

/**
 * Compiles Apache directives into options: `wsTunnel(fromHttpdConf('/etc/apache2/sites-enabled/chat.conf'))`. What there is
 * to say beside is given by {@link diagnosticsOf}.
 *
 * @param source a file name, or the text and how to read it.
 * @throws {HttpdConfError} for a configuration that cannot be compiled; its `diagnostics` have every line that is wrong.
 */
export function fromHttpdConf(source: string | HttpdConf): WsTunnelOptions {
  const { options, diagnostics } = compileHttpdConf(source)
  if (options === undefined) throw new HttpdConfError(diagnostics)
  return options
}

/** Warnings and ignored lines of options that {@link fromHttpdConf} made. */
export function diagnosticsOf(options: WsTunnelOptions): readonly Diagnostic[] {
  return compiled.get(options) ?? []
}

/** As {@link fromHttpdConf}, and never throws for what stands in the configuration. */
export function compileHttpdConf(source: string | HttpdConf): Compiled {
  const reading = read(source)
  const { reader, conf, file, report } = reading
  const options = compileServer(chooseServer(reader, conf.serverName, file, report), reading)
  if (options.routes?.length === 0 && !report.failed) warnOfNothing(reading)
  const diagnostics = report.diagnostics
  if (report.failed) return { options: undefined, diagnostics }
  compiled.set(options, diagnostics)
  return { options, diagnostics }
}

/**
 * Compiles every virtual host of a configuration, and the main server, for a server that chooses between them. Never throws
 * for what stands in the configuration.
 */
export function compileVirtualHosts(source: string | HttpdConf): CompiledHosts {
  const reading = read(source)
  const { reader, tree, report, absolute } = reading
  const hostOf = (own: Server, directive: Directive | undefined): CompiledHost => ({
    addresses: directive === undefined ? [] : splitWords(directive.args),
    serverName: own.serverName,
    names: own.names,
    place: directive?.place,
    options: compileServer(directive === undefined ? own : mergeServers(reader.main, own), reading),
    directives: (directive?.children ?? tree)
      .filter(({ children }) => children === undefined)
      .map(({ key, name, args, place }) => ({ key, name, words: splitWords(args), place })),
  })
  const main = hostOf(reader.main, undefined)
  const hosts = reader.hosts.map(({ place, server }) =>
    hostOf(
      server,
      tree.find(directive => directive.place === place),
    ),
  )
  if (!report.failed && [main, ...hosts].every(({ options }) => options.routes?.length === 0)) warnOfNothing(reading)
  const diagnostics = report.diagnostics
  return { servers: report.failed ? undefined : { main, hosts }, diagnostics, absolute }
}

/** A configuration, read and not yet compiled. */
interface Reading {
  readonly conf: HttpdConf
  readonly file: string
  readonly text: string
  readonly files: Files
  readonly profile: Profile
  readonly report: Report
  readonly tree: readonly Directive[]
  readonly reader: ServerReader
  readonly absolute: (name: string) => string
}

function read(source: string | HttpdConf): Reading {
  const conf = typeof source === 'string' ? { file: source } : source
  const { file = 'httpd.conf', files = machineFiles, compat = '2.4.71', define = {}, modules = [] } = conf
  const profile = PROFILES[compat]
  if (profile === undefined)
    throw new TypeError(`Expected \`compat\` to be ${Object.keys(PROFILES).join(' or ')}, got ${compat}`)
  const report = new Report(conf.allow ?? [])
  const text = conf.text ?? (files === machineFiles ? readFileSync(file, 'utf8') : (files.read(file) ?? ''))
  const around = {
    files,
    report,
    variables: new Map<string, string | undefined>(Object.entries(define)),
    modules: new Set([
      ...modules,
      ...MODULES.split(' ').flatMap(name => [`mod_${name}.c`, `${name}.c`, `${name}_module`]),
    ]),
    version: compat === '2.5' ? '2.5.1' : compat,
    serverRoot: conf.serverRoot ?? folderOf(file),
  }
  const reader = new ServerReader(report, compat)
  const tree = new Parser(around).parse(text, file)
  reader.read(tree)
  const absolute = (name: string): string => (isAbsolute(name) ? name : join(resolve(around.serverRoot), name))
  return { conf, file, text, files, profile, report, tree, reader, absolute }
}

function compileServer(server: Server, { conf, files, profile, report, absolute }: Reading): WsTunnelOptions {
  const serverName = server.serverName ?? conf.serverName ?? hostname()
  let tls: ReturnType<typeof compileTls> | null = null
  const base: RouteContext = {
    server,
    balancers: {},
    serverName,
    profile,
    report,
    tls: () => {
      if (tls === null) tls = compileTls(server, files, absolute, report)
      return tls
    },
  }
  const context = { ...base, balancers: compileBalancers(server.balancers, base) }
  const workers = compileWorkers(context)
  const routes = compileRoutes(context)
  const rewriting = compileRewriting(context)
  checkRequestEdits(server, report)
  // httpd appends to X-Forwarded-* whoever sent them.
  const { balancers } = context
  const common = {
    ...checking(context),
    ...({ trustProxy: 'append', serverName, drainTimeout: 10_000, workers, balancers } as const),
  }
  // Lines with mapping= are looked at before anything is decoded or rewritten. httpd: pre_translate_name.
  const { early = [], late = [] } = Object.groupBy(routes, ({ mapping }) =>
    (mapping ?? 'decoded') === 'decoded' ? 'late' : 'early',
  )
  if (rewriting === undefined) return { ...common, routes: [...early, ...late] }
  return {
    ...common,
    rewrite: rewriting.rewrite,
    encodedSlashes: server.encodedSlashes ?? 'reject',
    mergeSlashes: server.mergeSlashes ?? true,
    routes: [...early, ...rewriting.routes, ...late],
  }
}

/** For the checks of balancers that no route names, because their URL comes from a rule. */
function checking({ balancers, tls }: RouteContext): { join?: 'concat'; tls?: ConnectionOptions } {
  const checked = Object.values(balancers)
    .flatMap(({ members }) => members)
    .filter(({ healthCheck }) => healthCheck !== undefined)
  const connection = checked.some(({ url }) => isSecure(url)) ? tls() : undefined
  return checked.length === 0 ? {} : { join: 'concat', ...(connection !== undefined && { tls: connection }) }
}

function warnOfNothing({ file, text, report }: Reading): void {
  report.warn({ file, line: 1, column: 1, text: text.split('\n', 1)[0] ?? '' }, '', 'nothing is proxied', {
    expected: 'a ProxyPass or ProxyPassMatch line',
  })
}

/** The virtual host that is asked for, over the main server; the only one where none is. */
function chooseServer({ main, hosts }: ServerReader, name: string | undefined, file: string, report: Report): Server {
  const namesOf = ({ server }: (typeof hosts)[number]): string[] => [
    ...(server.serverName === undefined ? [] : [server.serverName]),
    ...server.names,
  ]
  const wildcard = (pattern: string): RegExp =>
    new RegExp(
      `^${pattern
        .replace(/[^\w*?]/g, '\\$&')
        .replace(/\*+/g, '.*')
        .replaceAll('?', '.')}$`,
      'i',
    )
  if (hosts.length === 0) return main
  const [first] = hosts
  if (hosts.length === 1 && name === undefined) return mergeServers(main, first?.server ?? emptyServer())
  const matching = hosts.filter(host =>
    namesOf(host).some(own => name !== undefined && wildcard(own.slice(0, 255)).test(name)),
  )
  const chosen = matching[0]
  if (chosen !== undefined) {
    if (matching.length > 1) {
      report.warn(
        chosen.place,
        '<VirtualHost',
        `the first of ${matching.length} virtual hosts named ${name} is compiled; ports are not told apart`,
      )
    }
    return mergeServers(main, chosen.server)
  }
  const all = hosts.map(host => namesOf(host)[0] ?? `line ${host.place.line}`).join(', ')
  report.error(
    first?.place ?? { file, line: 1, column: 1, text: '' },
    '<VirtualHost',
    name === undefined
      ? 'several virtual hosts: say which by the option `serverName`'
      : `no virtual host is named ${name}`,
    { expected: `one of ${all}` },
  )
  return main
}
