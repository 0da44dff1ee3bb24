import type { IncomingMessage } from 'node:http'
import { type HeaderList, plainAddress, protocolOf } from '@ws-tunnel/core'
import type { Environment } from './environment.ts'
import { textOf } from './escapes.ts'
import { userOf } from './remote-user.ts'
import { documentRootOf, fieldOf, isTls, ownName } from './request.ts'
import { tlsVariable } from './tls-variables.ts'

/** A request, and the result of the rules so far. */
export interface RewriteState {
  readonly req: IncomingMessage
  /** The decoded path of the request. httpd: `r->uri`. */
  readonly uri: string
  /** The rewritten path, or a URL. httpd: `r->filename`. */
  filename: string
  /** The rewritten query, without `?`. httpd: `r->args`. */
  args: string | undefined
  readonly env: Environment
  /** The fields of the response, for lines that edit it. */
  readonly response?: HeaderList
}

/** Returns the value of a variable. */
export type Reader = (state: RewriteState) => string

/** The variables that are named after a header field, and their fields. */
const FIELDS: Readonly<Record<string, string>> = {
  HTTP_HOST: 'host',
  HTTP_COOKIE: 'cookie',
  HTTP_REFERER: 'referer',
  HTTP_USER_AGENT: 'user-agent',
  HTTP_ACCEPT: 'accept',
  HTTP_FORWARDED: 'forwarded',
  HTTP_PROXY_CONNECTION: 'proxy-connection',
}

const twoDigits = (value: number): string => String(value).padStart(2, '0')
const now = (): Date => new Date()

const VARIABLES: Readonly<Record<string, Reader>> = {
  REQUEST_URI: ({ uri }) => uri,
  DOCUMENT_ROOT: ({ req }) => textOf(documentRootOf(req)),
  REQUEST_FILENAME: ({ filename }) => filename,
  SCRIPT_FILENAME: ({ filename }) => filename,
  QUERY_STRING: ({ args }) => textOf(args ?? ''),
  REQUEST_METHOD: ({ req }) => req.method ?? '',
  THE_REQUEST: ({ req }) => textOf(`${req.method} ${req.url} ${protocolOf(req)}`),
  SERVER_PROTOCOL: ({ req }) => protocolOf(req),
  REQUEST_SCHEME: ({ req }) => (isTls(req) ? 'https' : 'http'),
  HTTPS: ({ req }) => (isTls(req) ? 'on' : 'off'),
  SERVER_NAME: ({ req }) => textOf(ownName(req).name),
  SERVER_PORT: ({ req }) => ownName(req).port,
  SERVER_ADDR: ({ req }) => plainAddress(req.socket.localAddress),
  REMOTE_ADDR: ({ req }) => plainAddress(req.socket.remoteAddress),
  CONN_REMOTE_ADDR: ({ req }) => plainAddress(req.socket.remoteAddress),
  REMOTE_USER: ({ req }) => textOf(userOf(req) ?? ''),
  AUTH_TYPE: ({ req }) => (userOf(req) === undefined ? '' : 'Basic'),
  REMOTE_PORT: ({ req }) => String(req.socket.remotePort ?? ''),
  IPV6: ({ req }) => (plainAddress(req.socket.remoteAddress).includes(':') ? 'on' : 'off'),
  IS_SUBREQ: () => 'false',
  TIME: () => {
    const time = now()
    const parts = [time.getMonth() + 1, time.getDate(), time.getHours(), time.getMinutes(), time.getSeconds()]
    return time.getFullYear() + parts.map(twoDigits).join('')
  },
  TIME_YEAR: () => String(now().getFullYear()),
  TIME_MON: () => twoDigits(now().getMonth() + 1),
  TIME_DAY: () => twoDigits(now().getDate()),
  TIME_HOUR: () => twoDigits(now().getHours()),
  TIME_MIN: () => twoDigits(now().getMinutes()),
  TIME_SEC: () => twoDigits(now().getSeconds()),
  TIME_WDAY: () => String(now().getDay()),
}

/** The reader of a variable by its name; `undefined` for a variable that is not supported. httpd: lookup_variable. */
export function readerOf(name: string): Reader | undefined {
  const environment = /^ENV:(.+)$/is.exec(name)?.[1]
  if (environment !== undefined) return ({ env }) => env.get(environment) ?? ''
  const upper = name.toUpperCase()
  const field = /^HTTP:(.+)$/is.exec(name)?.[1] ?? FIELDS[upper]
  if (field !== undefined) return ({ req }) => textOf(fieldOf(req, field) ?? '')
  const tls = tlsVariable(upper.replace(/^SSL:/, ''))
  if (tls !== undefined) return ({ req }) => tls(req)
  return VARIABLES[upper]
}
