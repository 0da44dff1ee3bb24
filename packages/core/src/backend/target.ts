import { isIPv6 } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import {
  type EncodedSlashes,
  encodePath,
  encodeQueryPart,
  encodeUrlText,
  type PathSpelling,
} from '../http/percent-encoding.ts'
import type { Captures } from '../options/route-options.ts'

/** Scheme, host and port of a backend. They never come from a request. */
export interface TargetOrigin {
  /** `ws`, `wss`, `http`, `https`, `h2`, `h2c` or `balancer`. With `balancer`, the host is the balancer's name. */
  readonly scheme: string
  /** Whether the connection uses TLS: `wss:`, `https:` or `h2:`. */
  readonly secure: boolean
  /** Host name or IP address, in lower case. IPv6 has no brackets. */
  readonly host: string
  readonly port: number
  /** The IP address to connect to, if it is known. The host is then not looked up. */
  readonly address?: string
  /** Whether the backend may be at an address that its host resolves to. */
  readonly acceptAddress?: (address: string) => boolean
  /** The value of `Host`: IPv6 in brackets, without the default port of the scheme. */
  readonly authority: string
  /** The `unix:` socket to connect to in place of host and port. */
  readonly socketPath: string | undefined
}

type Part = string | { kind: 'group' | 'condition'; index: number } | { kind: 'param'; name: string }

/** A parsed target: where to connect, and how to build the path. */
export interface TargetTemplate {
  readonly origin: TargetOrigin
  readonly path: readonly Part[]
  readonly query: readonly Part[] | undefined
  /** Whether the target defines the whole path. The rest of the request's path is then not appended. */
  readonly whole: boolean
}

/** Which captures a target may contain. */
export interface TemplateScope {
  /** `$0`-`$9`. */
  groups: boolean
  /** `:name`s. */
  params: readonly string[]
  /**
   * The number of groups of a RegExp, 0 for another path. A reference to a group or name that does not exist is then refused. `undefined`
   * lets it pass as httpd does: an unknown group is empty, an unknown name is text.
   */
  groupCount?: number | undefined
  /** Nothing is expanded, because the text comes from a function. */
  literal?: boolean
  /** A capture may follow the host, as in httpd's `ws://host$1`. Its value must then start with a slash. */
  glued?: boolean
}

const TARGET =
  /^(?:unix:([^|\0]+)(?:\|(?=.)|$))?(?:(wss?|https?|h2c?|balancer):(?:\/\/([^/?#]*?)((?:\$\d)?(?:\/[^?#]*)?)(\?[^#]*)?)?)?$/i
const DEFAULT_PORT = { true: 443, false: 80 } as const
const FIXED_ORIGIN = 'a URL whose host and port are fixed: a capture is allowed only in the path'

function refuse(where: string, expected: string, text: string): WsTunnelError {
  return new WsTunnelError('WST_ERR_OPTION', {
    detail: `Expected \`${where}\` to be ${expected}, got ${JSON.stringify(text)}`,
  })
}

/**
 * Parses a target URL. In its path, `%20` to `%FF` are escapes. Any other `%` before a digit refers to a group of a
 * condition: `%10` is the group `%1` and a 0, and `%2/` is the group `%2` and a slash.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function parseTarget(text: string, scope: TemplateScope, where = 'target'): TargetTemplate {
  const match = TARGET.exec(text)
  const [, socketPath, scheme = socketPath && 'ws', authority, path = '', query] = match ?? []
  if (scheme === undefined || (authority === undefined && socketPath === undefined)) {
    throw refuse(
      where,
      'a ws:, wss:, http:, https:, h2:, h2c: or balancer: URL without fragment, or unix:/path|URL',
      text,
    )
  }
  if (socketPath !== undefined && !socketPath.startsWith('/')) {
    throw refuse(where, 'a unix: URL with an absolute socket path', text)
  }
  if (path.startsWith('$') && !scope.glued) throw refuse(where, FIXED_ORIGIN, text)
  const origin = parseOrigin(authority ?? 'localhost', scheme.toLowerCase(), socketPath, text, where)
  const pathParts = parseParts(path, scope, text, where)
  const queryParts = query === undefined ? undefined : parseParts(query.slice(1), scope, text, where)
  const captures = [...pathParts, ...(queryParts ?? [])].some(part => typeof part === 'object' && part.kind === 'group')
  // A RegExp matches the whole path. A function that gets its captures therefore returns the whole path.
  return {
    origin,
    path: pathParts,
    query: queryParts,
    whole: captures || (scope.groups && scope.literal === true),
  }
}

function parseOrigin(
  authority: string,
  scheme: string,
  socketPath: string | undefined,
  text: string,
  where: string,
): TargetOrigin {
  if (authority.includes('@'))
    throw refuse(where, 'a URL without user and password (set `authorization` with `requestHeaders`)', text)
  if (/[$%]\d|:[a-z_]/i.test(authority) && !authority.startsWith('[')) throw refuse(where, FIXED_ORIGIN, text)
  const parts = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(authority)
  const secure = scheme === 'wss' || scheme === 'https' || scheme === 'h2'
  const host = (parts?.[1] ?? parts?.[2])?.toLowerCase()
  const port = Number(parts?.[3] ?? DEFAULT_PORT[`${secure}`])
  if (host === undefined || (parts?.[1] !== undefined && !isIPv6(host)) || port < 1 || port > 65535) {
    throw refuse(where, 'a URL with a valid host and a port from 1 to 65535', text)
  }
  return { scheme, secure, host, port, authority: authorityOf(host, port, secure), socketPath }
}

/** The same host at another port. */
export function atPort(origin: TargetOrigin, port: number): TargetOrigin {
  const { host, secure } = origin
  return { ...origin, port, authority: authorityOf(host, port, secure) }
}

/** The value of `Host`. */
function authorityOf(host: string, port: number, secure: boolean): string {
  const bracketed = isIPv6(host) ? `[${host}]` : host
  return port === DEFAULT_PORT[`${secure}`] ? bracketed : `${bracketed}:${port}`
}

/** Where a backend is, for messages: host and port, or the path of its unix socket. */
export const addressOf = ({ socketPath, host, port }: TargetOrigin): string => socketPath ?? `${host}:${port}`

/** The URL of a request, by which its worker is found. */
export const urlOf = ({ scheme, authority }: TargetOrigin, path: string): string => `${scheme}://${authority}${path}`

const REFERENCE = /\$(\d)|%(?![2-9a-f][0-9a-f])(\d)|:([a-z_$][\w$]*)/gi

function parseParts(text: string, scope: TemplateScope, target: string, where: string): Part[] {
  if (scope.literal) return [encodeUrlText(text)]
  const parts: Part[] = []
  let end = 0
  for (const reference of text.matchAll(REFERENCE)) {
    const [whole, group, condition, param] = reference
    if (group !== undefined && !scope.groups)
      throw refuse(where, `free of ${whole}, because its route has no RegExp path`, target)
    if (group !== undefined && Number(group) > (scope.groupCount ?? 9))
      throw refuse(where, `free of ${whole}, because the path of its route has ${scope.groupCount} groups`, target)
    if (param !== undefined && !scope.params.includes(param)) {
      // Within a segment a colon is text: `/urn:isbn`.
      if (scope.groupCount === undefined || text[reference.index - 1] !== '/') continue
      const names = scope.params.map(name => `:${name}`).join(', ')
      const known = names === '' ? 'has no parameter' : `has ${names}`
      throw refuse(where, `free of ${whole}, because the path of its route ${known} (write %3A for a colon)`, target)
    }
    parts.push(encodeUrlText(text.slice(end, reference.index)))
    end = reference.index + whole.length
    if (group !== undefined) parts.push({ kind: 'group', index: Number(group) })
    else if (condition !== undefined) parts.push({ kind: 'condition', index: Number(condition) })
    else parts.push({ kind: 'param', name: param as string })
  }
  parts.push(encodeUrlText(text.slice(end)))
  return parts.filter(part => part !== '')
}

/** How {@link buildPath} combines a template with a request. */
export interface Joining {
  readonly join: 'slash' | 'concat'
  readonly encodedSlashes: EncodedSlashes
  /** Whether captures of the path are the client's own bytes, which are sent without encoding (nocanon). */
  readonly raw: boolean
  /** How the captures of the path are encoded, unless they are raw. @default 'normalise' */
  readonly spelling?: PathSpelling
  /** The request's query with its `?`, or `''`. */
  readonly query: string
  readonly queries: 'append' | 'replace' | 'drop'
}

/**
 * The request target for the backend, byte for byte as in the request line.
 *
 * @throws {WsTunnelError} `WST_ERR_FORBIDDEN_TARGET` if the result has a control character, a space, a captured `?` or
 *   a dot segment.
 */
export function buildPath(template: TargetTemplate, captures: Captures, joining: Joining): string {
  const base = fillPath(template.path, captures, joining)
  const rest = encodeCapture(captures.rest, joining)
  const path = template.whole ? base : joinPath(base, rest, joining.join)
  if (/(?:^|\/)\.\.(?:\/|$)/.test(path) || (template.path.some(isReference) && /(?:^|\/)\.(?:\/|$)/.test(path))) {
    throw forbidden('a dot segment in the result')
  }
  const own = template.query && fill(template.query, captures, encodeQueryPart)
  return sendable((path === '' ? '/' : path) + joinQuery(own, joining))
}

/**
 * Checks a request target that a function returned.
 *
 * @throws {WsTunnelError} `WST_ERR_FORBIDDEN_TARGET` as {@link buildPath} does.
 */
export function exactPath(path: string): string {
  if (/(?:^|\/)\.\.?(?:[/?]|$)/.test(path.replace(/\?.*$/s, ''))) throw forbidden('a dot segment in the result')
  return sendable(path)
}

function sendable(target: string): string {
  if (!target.startsWith('/')) throw forbidden('no slash between the target and the path')
  if (/[^\x21-\x7e\x80-\xff]/.test(target)) throw forbidden('a control character or space in the result')
  return target
}

const forbidden = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail })

const isReference = (part: Part): boolean => typeof part === 'object'

/** Most targets have no references. */
function fillPath(parts: readonly Part[], captures: Captures, joining: Joining): string {
  const [only = ''] = parts
  if (parts.length <= 1 && typeof only === 'string') return only
  return fill(parts, captures, (text, { kind }) =>
    // Groups of conditions come from header fields and are always encoded. Captures of the path may be raw.
    kind === 'condition' ? encodePath(text, joining.encodedSlashes) : encodeCapture(text, joining),
  )
}

const encodeCapture = (text: string, { raw, encodedSlashes, spelling }: Joining): string =>
  raw ? text : encodePath(text, encodedSlashes, spelling)

function fill(
  parts: readonly Part[],
  captures: Captures,
  encode: (text: string, part: Exclude<Part, string>) => string,
): string {
  let result = ''
  for (const part of parts) {
    if (typeof part === 'string') {
      result += part
      continue
    }
    const text = captured(part, captures)
    if (text.includes('?')) throw forbidden('a captured "?"')
    result += encode(text, part)
  }
  return result
}

function captured(part: Exclude<Part, string>, captures: Captures): string {
  if (part.kind === 'param') return captures.params[part.name] ?? ''
  return (part.kind === 'group' ? captures.groups : captures.conditionGroups)[part.index] ?? ''
}

/** `own` is `undefined` for a target without query, and empty for a target that ends with `?`. */
function joinQuery(own: string | undefined, { query, queries }: Joining): string {
  if (queries === 'drop' || (queries === 'replace' && own !== undefined)) return own ? `?${own}` : ''
  if (!own) return query
  return `?${own}${query.length > 1 ? `&${query.slice(1)}` : ''}`
}

function joinPath(base: string, rest: string, join: 'slash' | 'concat'): string {
  if (join === 'concat' || rest === '') return base + rest
  const start = base.endsWith('/') ? base.slice(0, -1) : base
  return rest.startsWith('/') ? start + rest : `${start}/${rest}`
}
