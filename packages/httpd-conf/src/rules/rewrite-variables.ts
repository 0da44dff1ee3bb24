import type { IncomingMessage } from 'node:http'
import { type Environment, fieldOf } from './environment.ts'
import { textOf } from './escapes.ts'

/** What the rules see of a request, and what they have made of it so far. */
export interface RewriteState {
  readonly req: IncomingMessage
  /** The decoded path the client asked for (`r->uri`). */
  readonly uri: string
  /** The path as rewritten so far, or a URL (`r->filename`). */
  filename: string
  /** The query as rewritten so far. */
  args: string | undefined
  readonly env: Environment
}

/** A variable's value. */
export type Reader = (state: RewriteState) => string

/** httpd's names of header fields. */
const FIELDS: Record<string, string> = {
  HTTP_HOST: 'host',
  HTTP_COOKIE: 'cookie',
  HTTP_REFERER: 'referer',
  HTTP_USER_AGENT: 'user-agent',
  HTTP_ACCEPT: 'accept',
  HTTP_FORWARDED: 'forwarded',
  HTTP_PROXY_CONNECTION: 'proxy-connection',
}

const isTls = (req: IncomingMessage): boolean => 'encrypted' in req.socket
const address = (text: string | undefined): string => (text ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
const hostOf = (req: IncomingMessage): string => textOf(fieldOf(req, 'host') ?? '')
const two = (value: number): string => String(value).padStart(2, '0')
const now = (): Date => new Date()

const VARIABLES: Record<string, Reader> = {
  REQUEST_URI: ({ uri }) => uri,
  REQUEST_FILENAME: ({ filename }) => filename,
  SCRIPT_FILENAME: ({ filename }) => filename,
  QUERY_STRING: ({ args }) => textOf(args ?? ''),
  REQUEST_METHOD: ({ req }) => req.method ?? '',
  THE_REQUEST: ({ req }) => textOf(`${req.method} ${req.url} HTTP/${req.httpVersion}`),
  SERVER_PROTOCOL: ({ req }) => `HTTP/${req.httpVersion}`,
  REQUEST_SCHEME: ({ req }) => (isTls(req) ? 'https' : 'http'),
  HTTPS: ({ req }) => (isTls(req) ? 'on' : 'off'),
  SERVER_NAME: ({ req }) => hostOf(req).replace(/:\d*$/, '').toLowerCase(),
  SERVER_PORT: ({ req }) => /:(\d+)$/.exec(hostOf(req))?.[1] ?? (isTls(req) ? '443' : '80'),
  SERVER_ADDR: ({ req }) => address(req.socket.localAddress),
  REMOTE_ADDR: ({ req }) => address(req.socket.remoteAddress),
  CONN_REMOTE_ADDR: ({ req }) => address(req.socket.remoteAddress),
  REMOTE_PORT: ({ req }) => String(req.socket.remotePort ?? ''),
  IPV6: ({ req }) => (address(req.socket.remoteAddress).includes(':') ? 'on' : 'off'),
  IS_SUBREQ: () => 'false',
  TIME: () => {
    const time = now()
    const day = [time.getMonth() + 1, time.getDate(), time.getHours(), time.getMinutes(), time.getSeconds()]
    return time.getFullYear() + day.map(two).join('')
  },
  TIME_YEAR: () => String(now().getFullYear()),
  TIME_MON: () => two(now().getMonth() + 1),
  TIME_DAY: () => two(now().getDate()),
  TIME_HOUR: () => two(now().getHours()),
  TIME_MIN: () => two(now().getMinutes()),
  TIME_SEC: () => two(now().getSeconds()),
  TIME_WDAY: () => String(now().getDay()),
}

/** A variable by its name; `undefined` for one that is not honoured. httpd: lookup_variable. */
export function readerOf(name: string): Reader | undefined {
  const environment = /^ENV:(.+)$/is.exec(name)?.[1]
  if (environment !== undefined) return ({ env }) => env.get(environment) ?? ''
  const upper = name.toUpperCase()
  const field = /^HTTP:(.+)$/is.exec(name)?.[1] ?? FIELDS[upper]
  if (field !== undefined) return ({ req }) => textOf(fieldOf(req, field) ?? '')
  return VARIABLES[upper]
}
