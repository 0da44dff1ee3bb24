import type { Server, ServerOptions } from 'node:http'
import type { TlsOptions } from 'node:tls'
import type { ServerSettings } from '@ws-tunnel/httpd-conf'
import type { Host } from '../configuration/virtual-hosts.ts'

/** Limits of httpd for what a configuration does not set. */
const HTTPD = { timeout: 60_000, limitRequestLine: 8_190, limitRequestFields: 100, limitRequestFieldSize: 8_190 }

/** Node's default for the size of a request head, in bytes. */
const USUAL_HEAD = 16_384

/** The longest time between two checks for requests that take too long to arrive, ms. */
const CHECK_INTERVAL = 5_000

/** The largest head that the limits of a configuration let through. The core refuses what is over one of them. */
export function maxHeaderSize({ limitRequestLine, limitRequestFields, limitRequestFieldSize }: ServerSettings): number {
  if ((limitRequestLine ?? limitRequestFields ?? limitRequestFieldSize) === undefined) return USUAL_HEAD
  const fields = limitRequestFields || HTTPD.limitRequestFields
  const size = limitRequestFieldSize ?? HTTPD.limitRequestFieldSize
  return Math.max(USUAL_HEAD, (limitRequestLine ?? HTTPD.limitRequestLine) + fields * size)
}

/** Timeout, RequestReadTimeout, KeepAlive and the limits of a head as options of Node's server. */
export function serverOptions(settings: ServerSettings): ServerOptions {
  const { timeout = HTTPD.timeout, requestReadTimeout, keepAliveTimeout } = settings
  const header = requestReadTimeout?.header
  const headersTimeout = header === undefined ? timeout : (header.max ?? header.initial)
  return {
    maxHeaderSize: maxHeaderSize(settings),
    headersTimeout,
    // A body is read at the pace of the backend, so its time has no fixed limit. BodyLimits limits the client's part.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL, Math.ceil(headersTimeout / 4) || CHECK_INTERVAL),
    // Node takes 0 for no limit.
    ...(keepAliveTimeout !== undefined && { keepAliveTimeout: Math.max(1, keepAliveTimeout) }),
  }
}

/** Sets what Node's server takes as properties alone. */
export function applySettings(server: Server, settings: ServerSettings): void {
  const { keepAlive = true, maxKeepAliveRequests = 0 } = settings
  const { headersTimeout = 0, keepAliveTimeout } = serverOptions(settings)
  server.headersTimeout = headersTimeout
  if (keepAliveTimeout !== undefined) server.keepAliveTimeout = keepAliveTimeout
  server.maxRequestsPerSocket = keepAlive ? maxKeepAliveRequests : 1
  // Node drops the fields past this number in silence. The size of the head limits them.
  server.maxHeadersCount = 0
  // A client that sends FIN after its request still reads the response. Node's types do not have the property.
  ;(server as Server & { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true
}

/** Options of Node's TLS server, from the default host of a port and the others. */
export function tlsOptions([first, ...others]: readonly Host[]): TlsOptions {
  const hosts = [first as Host, ...others]
  const { timeout = HTTPD.timeout, requestReadTimeout } = (first as Host).settings
  const handshake = requestReadTimeout?.handshake
  return {
    ...(first as Host).tls?.options,
    // The server requests a certificate before it knows which host the connection is for. The routes of a host refuse clients without a certificate.
    requestCert: hosts.some(({ tls }) => tls?.requestCert),
    rejectUnauthorized: false,
    handshakeTimeout: (handshake === undefined ? 0 : (handshake.max ?? handshake.initial)) || timeout,
  }
}

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

/** Whether the protocol version of a connection is one that the host allows. OpenSSL takes those of the default host. */
export function allowsProtocol({ tls }: Host, version: string | null): boolean {
  const { minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3' } = tls?.options ?? {}
  const at = VERSIONS.indexOf(version ?? '')
  return at >= VERSIONS.indexOf(minVersion) && at <= VERSIONS.indexOf(maxVersion)
}
