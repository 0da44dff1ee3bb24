import type { TlsOptions } from 'node:tls'
import type { CompiledHost } from '@ws-tunnel/httpd-conf'

/** A limit of RequestReadTimeout. */
export interface ReadLimit {
  /** ms; 0 is no limit. */
  readonly initial: number
  /** ms. */
  readonly max: number | undefined
  /** Bytes that extend the limit by a second. */
  readonly minRate: number | undefined
}

/** Settings of a server that are no options of the proxy. Durations are ms. */
export interface ServerSettings {
  readonly timeout?: number | undefined
  readonly requestReadTimeout?:
    | { readonly handshake?: ReadLimit; readonly header?: ReadLimit; readonly body?: ReadLimit }
    | undefined
  readonly limitRequestLine?: number | undefined
  readonly limitRequestFields?: number | undefined
  readonly limitRequestFieldSize?: number | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveTimeout?: number | undefined
  readonly maxKeepAliveRequests?: number | undefined
  readonly user?: string | undefined
  readonly group?: string | undefined
  readonly pidFile?: string | undefined
  readonly gracefulShutdownTimeout?: number | undefined
  readonly tls?: Pick<
    TlsOptions,
    | 'minVersion'
    | 'maxVersion'
    | 'ciphers'
    | 'honorCipherOrder'
    | 'ecdhCurve'
    | 'secureOptions'
    | 'requestCert'
    | 'rejectUnauthorized'
    | 'ca'
    | 'crl'
  >
}

export const settingsOf = (host: CompiledHost): ServerSettings =>
  (host as { settings?: ServerSettings }).settings ?? temporarySettings(host)

/** Until the compiler gives settings. */
export function temporarySettings(main: CompiledHost): ServerSettings {
  const word = (key: string): string | undefined => main.directives.findLast(d => d.key === key)?.words[0]
  const seconds = (key: string): number | undefined => (word(key) === undefined ? undefined : Number(word(key)) * 1_000)
  return {
    user: word('user'),
    group: word('group'),
    pidFile: word('pidfile'),
    gracefulShutdownTimeout: seconds('gracefulshutdowntimeout'),
    timeout: seconds('timeout'),
    keepAlive: word('keepalive') === undefined ? undefined : word('keepalive')?.toLowerCase() === 'on',
    keepAliveTimeout: seconds('keepalivetimeout'),
    maxKeepAliveRequests: word('maxkeepaliverequests') === undefined ? undefined : Number(word('maxkeepaliverequests')),
    tls: {
      ...(word('sslprotocol') === 'TLSv1.3' && { minVersion: 'TLSv1.3' as const }),
      ...(word('sslverifyclient') === 'require' && { requestCert: true }),
    },
  }
}
