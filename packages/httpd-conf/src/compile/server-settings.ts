import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TlsOptions } from 'node:tls'
import type { WsTunnelError } from '@ws-tunnel/core'
import type { Report } from '../diagnostics.ts'
import type { Server, TlsLine } from '../directives/model.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi, duration } from '../syntax/values.ts'
import { splitWords } from '../syntax/words.ts'
import { compileErrorDocuments, type ErrorDocument } from './error-documents.ts'
import { compileHeadCheck } from './request-limits.ts'
import type { FileSystem } from './server.ts'
import { readVersions } from './tls.ts'

/** The time that one phase of a request may take (RequestReadTimeout). */
export interface ReadLimit {
  /** ms; 0 is no limit. */
  readonly initial: number
  /** ms that data can extend it to; `undefined` is no maximum. */
  readonly max: number | undefined
  /** Bytes that extend the time by one second; `undefined` if data does not extend it. */
  readonly minRate: number | undefined
}

/** HTTP/2 towards clients. */
export interface Http2Settings {
  /** Protocols, in the order of the line: `h2` (TLS), `h2c` (cleartext) and `http/1.1`. */
  readonly protocols: readonly string[]
  /** ProtocolsHonorOrder: whether the order of the line counts, and not that of the client. */
  readonly honorsOrder: boolean
  /** H2WebSockets: whether WebSockets may use HTTP/2 (RFC 8441). */
  readonly webSockets: boolean
  /** H2WindowSize, bytes. */
  readonly windowSize: number | undefined
  /** H2MaxSessionStreams. */
  readonly maxSessionStreams: number | undefined
}

/** Settings for a server that is not an app. Times are in ms. A value is `undefined` where no line sets it. */
export interface ServerSettings {
  /** Timeout */
  readonly timeout: number | undefined
  readonly requestReadTimeout:
    | { readonly handshake?: ReadLimit; readonly header?: ReadLimit; readonly body?: ReadLimit }
    | undefined
  /** LimitRequestLine, bytes. */
  readonly limitRequestLine: number | undefined
  /** LimitRequestFields; 0 is no limit. */
  readonly limitRequestFields: number | undefined
  /** LimitRequestFieldSize, bytes. */
  readonly limitRequestFieldSize: number | undefined
  readonly keepAlive: boolean | undefined
  readonly keepAliveTimeout: number | undefined
  /** MaxKeepAliveRequests; 0 is no limit. */
  readonly maxKeepAliveRequests: number | undefined
  /** `undefined` unless Protocols names h2 or h2c. */
  readonly http2: Http2Settings | undefined
  /** A name, or `#` and a number. */
  readonly user: string | undefined
  readonly group: string | undefined
  /** Absolute. */
  readonly pidFile: string | undefined
  readonly gracefulShutdownTimeout: number | undefined
  /** SSLProtocol, SSLCipherSuite, SSLHonorCipherOrder, SSLVerifyClient and the like, without certificate and key. */
  readonly tls: Pick<
    TlsOptions,
    | 'minVersion'
    | 'maxVersion'
    | 'ciphers'
    | 'ecdhCurve'
    | 'honorCipherOrder'
    | 'secureOptions'
    | 'requestCert'
    | 'rejectUnauthorized'
    | 'ca'
    | 'crl'
  >
  /** Checks a head against httpd's defaults, in addition to the options. Returns the error with which it is refused. */
  readonly checkHead: (req: IncomingMessage) => WsTunnelError | undefined
  /** By status. */
  readonly errorDocuments: ReadonlyMap<number, ErrorDocument>
}

/** Compiles the lines that only a server can honour, which is not an app. */
export function compileServerSettings(server: Server, system: FileSystem, report: Report): ServerSettings {
  const { standalone, limits } = server
  const wordsOf = (key: string): string[] => splitWords(standalone.get(key)?.args ?? '')
  const first = (key: string): string | undefined => wordsOf(key)[0]
  const seconds = (key: string): number | undefined => {
    const text = first(key)
    return text === undefined ? undefined : (duration(text, 's') ?? 0)
  }
  const pidFile = first('pidfile')
  const keepAlive = first('keepalive')
  const most = first('maxkeepaliverequests')
  return {
    timeout: server.timeout,
    requestReadTimeout: readTimeouts(standalone.get('requestreadtimeout'), report),
    limitRequestLine: limits.get('limitrequestline'),
    limitRequestFields: limits.get('limitrequestfields'),
    limitRequestFieldSize: limits.get('limitrequestfieldsize'),
    keepAlive: keepAlive === undefined ? undefined : /^(?:on|1)$/i.test(keepAlive),
    keepAliveTimeout: seconds('keepalivetimeout'),
    maxKeepAliveRequests: most === undefined ? undefined : Math.max(0, atoi(most)),
    http2: compileHttp2(server, report),
    user: first('user'),
    group: first('group'),
    pidFile: pidFile === undefined ? undefined : system.absolute(pidFile),
    gracefulShutdownTimeout: seconds('gracefulshutdowntimeout'),
    tls: compileClientTls(server, system, report),
    checkHead: compileHeadCheck(server),
    errorDocuments: compileErrorDocuments(server, system),
  }
}

/** httpd: set_protocols, h2_conf_set_window_size, h2_conf_set_max_streams. */
function compileHttp2({ standalone }: Server, report: Report): Http2Settings | undefined {
  const protocols = splitWords(standalone.get('protocols')?.args ?? '').map(word => word.toLowerCase())
  const isOn = (key: string, byDefault: boolean): boolean => {
    const line = standalone.get(key)
    if (line === undefined) return byDefault
    const word = line.args.trim()
    if (!/^(?:on|off)$/i.test(word)) report.fail(line, `${line.name} must be On or Off`, { at: word })
    return /^on$/i.test(word)
  }
  const number = (key: string, least: number): number | undefined => {
    const line = standalone.get(key)
    if (line === undefined) return undefined
    const value = atoi(line.args.trim())
    if (value < least) report.fail(line, `${line.name}: value must be >= ${least}`, { at: line.args.trim() })
    return value
  }
  const settings = {
    protocols,
    honorsOrder: isOn('protocolshonororder', true),
    webSockets: isOn('h2websockets', false),
    windowSize: number('h2windowsize', 1_024),
    maxSessionStreams: number('h2maxsessionstreams', 1),
  }
  return protocols.includes('h2') || protocols.includes('h2c') ? settings : undefined
}

/** RequestReadTimeout. httpd: set_reqtimeouts. */
function readTimeouts(line: Directive | undefined, report: Report): ServerSettings['requestReadTimeout'] {
  if (line === undefined) return undefined
  const limits: Record<string, ReadLimit> = {}
  let phase = ''
  for (const word of line.args.split(/[\s,]+/).filter(each => each !== '')) {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(word) ?? []
    const name = key.toLowerCase()
    if (name === 'minrate' && phase !== '') {
      limits[phase] = { ...(limits[phase] as ReadLimit), minRate: atoi(value) }
      continue
    }
    const range = /^(\d+)(?:-(\d+))?$/.exec(value)
    if (range === null || !/^(?:handshake|header|body)$/.test(name))
      return report.fail(line, `RequestReadTimeout: unknown argument '${word}'`, { at: word })
    phase = name
    const [, initial = '', max] = range
    limits[phase] = {
      initial: atoi(initial) * 1_000,
      max: max === undefined ? undefined : atoi(max) * 1_000,
      minRate: undefined,
    }
  }
  return limits
}

const located = ({ name, place, args }: Directive): TlsLine => ({ name, place, words: splitWords(args) })

/** The TLS of clients. Which client may pass without a certificate is decided per request, so the handshake never fails for it. */
function compileClientTls(
  { standalone, hasTls }: Server,
  { files, absolute }: FileSystem,
  report: Report,
): ServerSettings['tls'] {
  const options: ServerSettings['tls'] = {}
  const protocol = standalone.get('sslprotocol')
  if (protocol !== undefined) {
    const range = readVersions(located(protocol), report)
    if (range !== undefined) Object.assign(options, range)
  }
  if ([...standalone.keys()].some(key => key.startsWith('sslciphersuite ')))
    options.ciphers = cipherList([...standalone])
  const honor = standalone.get('sslhonorcipherorder')
  if (honor !== undefined) options.honorCipherOrder = /^on$/i.test(honor.args.trim())
  const tickets = standalone.get('sslsessiontickets')
  if (tickets !== undefined && /^off$/i.test(tickets.args.trim())) options.secureOptions = constants.SSL_OP_NO_TICKET
  for (const [key, line] of standalone) if (key.startsWith('sslopensslconfcmd ')) applyCommand(line, options, report)
  const verify = standalone.get('sslverifyclient')
  if (verify === undefined) return options
  options.requestCert = true
  options.rejectUnauthorized = false
  const read = (key: string): string | undefined => {
    const line = standalone.get(key)
    const [name = ''] = splitWords(line?.args ?? '')
    if (line === undefined) return undefined
    const text = files.read(absolute(name))
    if (text === undefined)
      report.fail(line, `${line.name}: file '${absolute(name)}' does not exist or is empty`, { at: name })
    return text
  }
  const ca = read('sslcacertificatefile')
  if (ca !== undefined) options.ca = ca
  else if (hasTls) report.warn(verify, 'no certificate can be verified without SSLCACertificateFile', {})
  const crl = read('sslcarevocationfile')
  if (crl !== undefined) options.crl = crl
  return options
}

/** SSLCipherSuite of TLS 1.3 and of earlier versions, as one list of Node. */
function cipherList(lines: readonly (readonly [key: string, line: Directive])[]): string {
  const suites = lines.filter(([key]) => key.startsWith('sslciphersuite ')).map(([, line]) => splitWords(line.args))
  const newer = suites.findLast(words => words.length > 1 && /^tlsv1\.3$/i.test(words[0] as string))?.[1]
  const older = suites.findLast(words => words.length === 1 || /^ssl$/i.test(words[0] as string))?.at(-1)
  // Without a line of their own, the suites of TLS 1.3 keep their defaults.
  const all = newer ?? 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'
  return [all, older ?? 'DEFAULT:!aNULL:!eNULL:!EXP'].join(':')
}

/** SSLOpenSSLConfCmd. */
function applyCommand(line: Directive, options: ServerSettings['tls'], report: Report): void {
  const [command = '', value = ''] = splitWords(line.args)
  switch (command.toLowerCase()) {
    case 'curves':
    case 'groups':
      options.ecdhCurve = value
      return
    case 'minprotocol':
      options.minVersion = value as 'TLSv1.2'
      return
    case 'maxprotocol':
      options.maxVersion = value as 'TLSv1.3'
      return
    case 'dhparameters':
      return
    case 'options':
      if (!/^-?SessionTicket$/i.test(value)) report.warn(line, `${value} has no counterpart in Node`, { at: value })
      else if (value.startsWith('-')) options.secureOptions = constants.SSL_OP_NO_TICKET
      return
    default:
      report.refuse(line, `the command ${command} is not supported`, { at: command })
  }
}
