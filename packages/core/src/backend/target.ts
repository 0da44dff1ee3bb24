import { isIPv6 } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import { type EncodedSlashes, encodePath, encodeQueryPart } from '../http/path.ts'
import type { Captures } from '../options/route-options.ts'

/** Scheme, host and port of a backend, from fixed text only. */
export interface TargetOrigin {
  /** `ws`, `wss`, `http`, `https`, or `balancer`, whose host is its name. */
  readonly scheme: string
  /** TLS: `wss:` or `https:`. */
  readonly secure: boolean
  /** Host name or address, lower-case, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** What the name stands for, where that is known: it is not looked up. */
  readonly address?: string
  /** As it stands in `Host`: IPv6 in brackets, the scheme's default port left out. */
  readonly authority: string
  /** `unix:` socket to connect to instead of host and port. */
  readonly socketPath: string | undefined
}

type Part = string | { kind: 'group' | 'condition'; index: number } | { kind: 'param'; name: string }

/** A target, read: where to connect and how to build the path. */
export interface TargetTemplate {
  readonly origin: TargetOrigin
  readonly path: readonly Part[]
  readonly query: readonly Part[] | undefined
  /** It says the whole path: nothing of the request's is put behind it. */
  readonly whole: boolean
}

/** Which captures a target may name. */
export interface TemplateScope {
  /** `$0`-`$9`. */
  groups: boolean
  /** `:name`s. */
  params: readonly string[]
  /** Nothing is expanded: the text comes from a function. */
  literal?: boolean
  /** A capture may follow the host, as httpd writes `ws://host$1`; what it yields must begin with a slash. */
  glued?: boolean
}

const TARGET =
  /^(?:unix:([^|\0]+)(?:\|(?=.)|$))?(?:(wss?|https?|balancer):(?:\/\/([^/?#]*?)((?:\$\d)?(?:\/[^?#]*)?)(\?[^#]*)?)?)?$/i
const DEFAULT_PORT = { true: 443, false: 80 } as const

function refuse(where: string, expected: string, text: string): WsTunnelError {
  return new WsTunnelError('WST_ERR_OPTION', {
    detail: `Expected \`${where}\` to be ${expected}, got ${JSON.stringify(text)}`,
  })
}

/**
 * Reads a target URL. In its path `%` and two hexadecimal digits from `%20` on are an escape; `%1` and its kin before
 * anything else are groups of a condition.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function parseTarget(text: string, scope: TemplateScope, where = 'target'): TargetTemplate {
  const match = TARGET.exec(text)
  const [, socketPath, scheme = socketPath && 'ws', authority, path = '', query] = match ?? []
  if (scheme === undefined || (authority === undefined && socketPath === undefined)) {
    throw refuse(where, 'a ws:, wss:, http:, https: or balancer: URL without fragment, or unix:/path|URL', text)
  }
  if (socketPath !== undefined && !socketPath.startsWith('/')) {
    throw refuse(where, 'a unix: URL with an absolute socket path', text)
  }
  if (path.startsWith('$') && !scope.glued) {
    throw refuse(where, 'a URL whose host and port are fixed: a capture may stand in the path only', text)
  }
  const origin = parseOrigin(authority ?? 'localhost', scheme.toLowerCase(), socketPath, text, where)
  const pathParts = parseParts(path, scope, text, where)
  const queryParts = query === undefined ? undefined : parseParts(query.slice(1), scope, text, where)
  const captures = [...pathParts, ...(queryParts ?? [])].some(part => typeof part === 'object' && part.kind === 'group')
  // A RegExp covers the whole path, so that a function has made of it all there is to say.
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
    throw refuse(where, 'a URL without user and password (set `authorization` by requestHeaders)', text)
  if (/[$%]\d|:[a-z_]/i.test(authority) && !authority.startsWith('[')) {
    throw refuse(where, 'a URL whose host and port are fixed: a capture may stand in the path only', text)
  }
  const parts = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(authority)
  const secure = scheme === 'wss' || scheme === 'https'
  const host = (parts?.[1] ?? parts?.[2])?.toLowerCase()
  const port = Number(parts?.[3] ?? DEFAULT_PORT[`${secure}`])
  if (host === undefined || (parts?.[1] !== undefined && !isIPv6(host)) || port < 1 || port > 65535) {
    throw refuse(where, 'a URL with a valid host and a port from 1 to 65535', text)
  }
  const bracketed = isIPv6(host) ? `[${host}]` : host
  const hostHeader = port === DEFAULT_PORT[`${secure}`] ? bracketed : `${bracketed}:${port}`
  return { scheme, secure, host, port, authority: hostHeader, socketPath }
}

/** The URL of a request, as workers are looked up by it. */
export const urlOf = ({ scheme, authority }: TargetOrigin, path: string): string => `${scheme}://${authority}${path}`

const TOKEN = /\$(\d)|%(?![2-9a-f][0-9a-f])(\d)|:([a-z_$][\w$]*)/gi

function parseParts(text: string, scope: TemplateScope, target: string, where: string): Part[] {
  if (scope.literal) return [encodeLiteral(text)]
  const parts: Part[] = []
  let end = 0
  for (const token of text.matchAll(TOKEN)) {
    const [whole, group, condition, param] = token
    if (group !== undefined && !scope.groups)
      throw refuse(where, `free of ${whole}, for its route has no RegExp path`, target)
    if (param !== undefined && !scope.params.includes(param)) continue
    parts.push(encodeLiteral(text.slice(end, token.index)))
    end = token.index + whole.length
    if (group !== undefined) parts.push({ kind: 'group', index: Number(group) })
    else if (condition !== undefined) parts.push({ kind: 'condition', index: Number(condition) })
    else parts.push({ kind: 'param', name: param as string })
  }
  parts.push(encodeLiteral(text.slice(end)))
  return parts.filter(part => part !== '')
}

/** Configuration text: escapes stay, what is not allowed in a URL is escaped. */
function encodeLiteral(text: string): string {
  return text.replace(/%[0-9a-fA-F]{2}|[^\w~$\-.+!*'(),;:@&=/?[\]]/gu, char =>
    char.length === 3 && char.startsWith('%') ? char : encodePath(char, 'reject'),
  )
}

/** How the rest of the path is put behind the template. */
export interface Joining {
  readonly join: 'slash' | 'concat'
  readonly encodedSlashes: EncodedSlashes
  /** The captures of the path are as the client wrote them, and sent so (nocanon). */
  readonly raw: boolean
  /** The request's query with its `?`, or `''`. */
  readonly query: string
  readonly queries: 'append' | 'replace' | 'drop'
}

/**
 * The request target for the backend: the very bytes of its request line.
 *
 * @throws {WsTunnelError} `WST_ERR_FORBIDDEN_TARGET` for control characters, spaces, a captured `?` or dot segment in the result.
 */
export function buildPath(template: TargetTemplate, captures: Captures, joining: Joining): string {
  const encode = (text: string): string => encodePath(text, joining.encodedSlashes)
  const encodeOwn = joining.raw ? (text: string): string => text : encode
  const base = fill(template.path, captures, encode, encodeOwn)
  const rest = encodeOwn(captures.rest)
  const path = template.whole ? base : joinPath(base, rest, joining.join)
  const captured = template.path.some(part => typeof part === 'object')
  if (/(?:^|\/)\.\.(?:\/|$)/.test(path) || (captured && /(?:^|\/)\.(?:\/|$)/.test(path))) {
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a dot segment in the result' })
  }
  const own = template.query && fill(template.query, captures, encodeQueryPart, encodeQueryPart)
  return sendable((path === '' ? '/' : path) + joinQuery(own, joining))
}

/**
 * A request target that a function made.
 *
 * @throws {WsTunnelError} `WST_ERR_FORBIDDEN_TARGET` as for those built from a template.
 */
export function exactPath(path: string): string {
  if (/(?:^|\/)\.\.?(?:[/?]|$)/.test(path.replace(/\?.*$/s, '')))
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a dot segment in the result' })
  return sendable(path)
}

function sendable(target: string): string {
  if (!target.startsWith('/')) {
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'target and path do not meet at a slash' })
  }
  if (/[^\x21-\x7e\x80-\xff]/.test(target)) {
    throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a control character or space in the result' })
  }
  return target
}

/** Groups of conditions come from headers and are always encoded; those of the path may be raw. */
function fill(
  parts: readonly Part[],
  captures: Captures,
  encode: (text: string) => string,
  encodeOwn: (text: string) => string,
): string {
  let result = ''
  for (const part of parts) {
    if (typeof part === 'string') {
      result += part
      continue
    }
    const text = captured(part, captures)
    if (text.includes('?')) throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a captured "?"' })
    result += part.kind === 'condition' ? encode(text) : encodeOwn(text)
  }
  return result
}

function captured(part: Exclude<Part, string>, captures: Captures): string {
  if (part.kind === 'param') return captures.params[part.name] ?? ''
  return (part.kind === 'group' ? captures.groups : captures.conditionGroups)[part.index] ?? ''
}

/** `own` is `undefined` where the target says nothing, and empty for a lone `?`. */
function joinQuery(own: string | undefined, { query, queries }: Joining): string {
  if (queries === 'drop' || (queries === 'replace' && own !== undefined)) return own ? `?${own}` : ''
  if (!own) return query
  return `?${own}${query.length > 1 ? `&${query.slice(1)}` : ''}`
}

function joinPath(base: string, rest: string, join: 'slash' | 'concat'): string {
  if (join === 'concat' || rest === '') return base + rest
  return `${base.replace(/\/$/, '')}/${rest.replace(/^\//, '')}`
}
