import { type CompiledHost, compileVirtualHosts, type Diagnostic, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { readTls } from './certificates.ts'
import { HostReader, type Subject } from './host-reader.ts'
import { readHostAddress, readListens } from './listens.ts'
import { readAccessLogs, readErrorLog } from './log-directives.ts'
import { type Configuration, type Host, nameTest } from './virtual-hosts.ts'

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
  `listen sethandler errordocument user group pidfile gracefulshutdowntimeout timeout requestreadtimeout keepalive keepalivetimeout
  maxkeepaliverequests limitrequestline limitrequestfields limitrequestfieldsize
  sslengine sslcertificatefile sslcertificatekeyfile sslcertificatechainfile sslprotocol sslciphersuite
  sslhonorcipherorder sslopensslconfcmd sslsessiontickets sslverifyclient sslcacertificatefile sslcarevocationfile
  logformat customlog transferlog loglevel errorlog errorlogformat globallog`.split(/\s+/),
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
    main: readHost(reader, servers.main),
    hosts: servers.hosts.map(host => readHost(reader, host)),
    listens: readListens(reader, servers.main),
  }
  const failed = serverDiagnostics.some(({ severity }) => severity === 'error')
  return { configuration: failed ? undefined : configuration, diagnostics, serverDiagnostics }
}

/** Warns of ErrorDocument lines that lead to a path without a file below DocumentRoot. */
function checkErrorDocuments(reader: HostReader, host: CompiledHost): void {
  for (const line of reader.all(host, 'errordocument')) {
    const [status] = line.words
    const document = host.settings.errorDocuments.get(Number(status))
    if (document !== undefined && 'path' in document)
      reader.report('warning', line, `no file below DocumentRoot: the response with status ${status} is a short text`)
  }
}

function readHost(reader: HostReader, compiled: CompiledHost): Host {
  checkErrorDocuments(reader, compiled)
  const { options, serverName, place, addresses, variables, pages } = compiled
  return {
    serverName: serverName ?? String(options.serverName),
    options,
    settings: compiled.settings,
    tls: readTls(reader, compiled),
    accessLogs: readAccessLogs(reader, compiled),
    errorLog: readErrorLog(reader, compiled),
    variables,
    pages,
    place,
    aliases: compiled.names,
    addresses: addresses.map(text => readHostAddress(reader, text, place as Subject['place'])),
    isNamed: nameTest(compiled),
  }
}
