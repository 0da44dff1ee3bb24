import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { protocolOf } from '@ws-tunnel/core'
import type { LogEntry } from './log-entry.ts'
import { strftime, timeZone } from './strftime.ts'

/** One directive of a LogFormat. `undefined` is written as `-`. */
export interface LogItem {
  /** @param argument the text in braces */
  readonly write: (entry: LogEntry, argument: string) => string | undefined
  /** The arguments that httpd accepts. @default every argument */
  readonly accepts?: RegExp
}

/** `[10/Oct/2000:13:55:36 -0700]` */
const clfTime = (date: Date): string => `[${strftime('%d/%b/%Y:%H:%M:%S', date)} ${timeZone(date)}]`

const path = ({ url = '/' }: IncomingMessage): string =>
  url.replace(/\?.*$/s, '').replace(/^[a-z][\w+.-]*:\/\/[^/]*/i, '')

const decoded = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

function fieldOf(lines: readonly string[] | undefined, name: string): string | undefined {
  const values = lines?.filter((_, i, raw) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === name.toLowerCase())
  return values === undefined || values.length === 0 ? undefined : values.join(', ')
}

/** The first cookie with the name. httpd: log_cookie. */
function cookie({ req }: LogEntry, name: string): string | undefined {
  const pairs = (req?.headers.cookie ?? '').split(';').map(pair => pair.trim())
  return pairs.find(pair => pair.startsWith(`${name}=`))?.slice(name.length + 1)
}

const UNITS: Record<string, number> = { '': 1_000_000, s: 1_000_000, ms: 1_000, us: 1 }

const digits = (value: number, length: number): string => String(value).padStart(length, '0')

/** The formats of `%{...}t` that are no formats of strftime. */
const TIMES: Record<string, (date: Date) => string> = {
  '': clfTime,
  sec: date => String(Math.floor(date.getTime() / 1_000)),
  msec: date => String(date.getTime()),
  usec: date => `${date.getTime()}000`,
  msec_frac: date => digits(date.getMilliseconds(), 3),
  usec_frac: date => `${digits(date.getMilliseconds(), 3)}000`,
}

function time({ startedAt, duration }: LogEntry, argument: string): string {
  const [, which, format = ''] = /^(begin|end)?:?(.*)$/s.exec(argument) ?? []
  const date = which === 'end' ? new Date(startedAt.getTime() + duration / 1_000) : startedAt
  const named = Object.hasOwn(TIMES, format) ? TIMES[format] : undefined
  return named === undefined ? strftime(format, date) : named(date)
}

const TLS: Record<string, (socket: TLSSocket) => string | undefined> = {
  HTTPS: () => 'on',
  SSL_PROTOCOL: socket => socket.getProtocol() ?? undefined,
  SSL_CIPHER: socket => socket.getCipher()?.name,
  SSL_TLS_SNI: socket => socket.servername || undefined,
  SSL_SESSION_RESUMED: socket => (socket.isSessionReused() ? 'Resumed' : 'Initial'),
  SSL_CLIENT_VERIFY: socket => (socket.getPeerCertificate()?.raw === undefined ? 'NONE' : 'SUCCESS'),
  SSL_CLIENT_S_DN_CN: socket => [socket.getPeerCertificate()?.subject?.CN].flat()[0],
}

/** A variable of mod_ssl. Node forgets it when the connection closes. */
export function tlsVariable(socket: Socket, name: string): string | undefined {
  if (!('encrypted' in socket) || !Object.hasOwn(TLS, name)) return undefined
  return TLS[name]?.(socket as TLSSocket)
}

/** What became of the connection: `X` aborted, `+` may stay open, `-` is closed. httpd: log_connection_status. */
function connectionStatus({ res }: LogEntry): string {
  if (res === undefined) return '-'
  if (!res.writableFinished && res.statusCode !== 101) return 'X'
  return res.shouldKeepAlive ? '+' : '-'
}

/** The directives of a LogFormat by their letter. */
export const ITEMS: Readonly<Record<string, LogItem>> = {
  h: { write: ({ clientAddress }) => clientAddress, accepts: /^c?$/ },
  a: { write: ({ clientAddress }) => clientAddress, accepts: /^c?$/ },
  A: { write: ({ localAddress }) => localAddress },
  l: { write: () => undefined },
  u: { write: ({ variables }) => variables().get('REMOTE_USER') },
  t: { write: time },
  r: { write: ({ requestLine }) => requestLine },
  s: { write: ({ status }) => String(status) },
  b: { write: ({ bodyBytes }) => (bodyBytes === 0 ? undefined : String(bodyBytes)) },
  B: { write: ({ bodyBytes }) => String(bodyBytes) },
  I: { write: ({ bytesIn }) => String(bytesIn) },
  O: { write: ({ bytesOut }) => String(bytesOut) },
  S: { write: ({ bytesIn, bytesOut }) => String(bytesIn + bytesOut) },
  D: { write: ({ duration }) => String(Math.round(duration)) },
  T: {
    write: ({ duration }, unit) => String(Math.floor(duration / (UNITS[unit] as number))),
    accepts: /^(?:s|ms|us)?$/,
  },
  i: { write: ({ req }, name) => fieldOf(req?.rawHeaders, name), accepts: /^[^\s:]+$/ },
  o: {
    write: ({ res }, name) => {
      const value = res?.getHeader(name)
      return value === undefined ? undefined : [value].flat().join(', ')
    },
    accepts: /^[^\s:]+$/,
  },
  C: { write: cookie, accepts: /./ },
  e: { write: ({ variables }, name) => variables().get(name), accepts: /./ },
  // Notes are messages between the modules of httpd. This program has no such modules.
  n: { write: () => undefined, accepts: /./ },
  L: { write: ({ errorId }) => errorId },
  // httpd does not count the request that closes the connection.
  k: { write: ({ keptAlive, res }) => String(Math.max(0, keptAlive - (res?.shouldKeepAlive ? 0 : 1))) },
  X: { write: connectionStatus },
  v: { write: ({ serverName }) => serverName },
  V: { write: ({ serverName }) => serverName },
  p: {
    write: ({ localPort, clientPort }, which) => String(which === 'remote' ? clientPort : localPort),
    accepts: /^(?:canonical|local|remote)?$/,
  },
  m: { write: ({ req }) => req?.method },
  U: { write: ({ req }) => (req === undefined ? undefined : decoded(path(req))) },
  q: { write: ({ req }) => /\?.*$/s.exec(req?.url ?? '')?.[0] ?? '' },
  H: { write: ({ req }) => (req === undefined ? undefined : protocolOf(req)) },
  P: { write: () => String(process.pid), accepts: /^(?:pid)?$/ },
  R: { write: () => 'proxy-server' },
  x: { write: ({ tls }, name) => tls.get(name), accepts: /./ },
  FB: { write: ({ timeToFirstByte }) => (timeToFirstByte === undefined ? undefined : String(timeToFirstByte)) },
  ti: { write: ({ req }, name) => fieldOf(req?.rawTrailers, name), accepts: /./ },
}

/** Letters of httpd and its modules for values that this program does not have. */
export const UNSUPPORTED: ReadonlySet<string> = new Set(['E', 'f', 'c', 'to'])
