import { WsTunnelError } from '../errors.ts'
import {
  bytesToText,
  decodeEscapes,
  decodeUnreserved,
  type EncodedSlashes,
  keptEscapes,
  type PathSpelling,
} from './percent-encoding.ts'

/** A path as routes match it. */
export interface DecodedPath {
  /**
   * Normalised and decoded, as httpd does before it matches. A byte that is not UTF-8 is a lone surrogate
   * (U+DC80-U+DCFF).
   */
  readonly text: string
  /** The text without the escapes that `text` keeps, if it keeps some because the spelling is exact. */
  readonly decoded?: string
  /** The error to throw if a route matches, or `undefined` if the path can be proxied. */
  readonly fault: WsTunnelError | undefined
}

/**
 * A request target: its raw path and query, and its decoded path on demand. Reading it never throws, because a request
 * with a malformed path that no route matches belongs to the app.
 */
export class RequestUrl {
  /** The path as the client wrote it, without the query; `/` if it is empty. */
  readonly rawPath: string
  /** Whether the path is empty: the client requested the mount point without a slash after it. */
  readonly bare: boolean
  /** The query with its `?`, or `''`. */
  readonly query: string
  /** Host of an absolute-form request target (RFC 9112 3.2.2). */
  readonly authority: string | undefined
  /** Whether the backend gets the path as the client spelled it. */
  readonly spelling: PathSpelling
  /** The result of the last call of {@link path}, and its arguments: nearly all routes have the same. */
  #decoded: DecodedPath | undefined
  #encodedSlashes: EncodedSlashes = 'reject'
  #mergeSlashes = true
  /** The path to which the request was rewritten. */
  readonly #rewritten: DecodedPath | undefined

  /** @param rewritten the decoded path that routes match; `url` then has its canonical form. */
  constructor(url: string, spelling: PathSpelling = 'normalise', rewritten?: string) {
    this.spelling = spelling
    const absolute = url.startsWith('/') ? null : /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(url)
    const originForm = absolute ? url.slice(absolute[0].length) : url
    const mark = originForm.indexOf('?')
    const path = mark === -1 ? originForm : originForm.slice(0, mark)
    this.authority = absolute?.[1]
    this.#rewritten = rewritten === undefined ? undefined : { text: rewritten, fault: undefined }
    this.bare = path === ''
    this.rawPath = this.bare ? '/' : path
    this.query = mark === -1 ? '' : originForm.slice(mark)
  }

  /** The path as a route with `mapping: 'encoded'` matches it. */
  encoded(mergeSlashes: boolean): DecodedPath {
    const { text, fault } = encodedPath(this.rawPath, mergeSlashes)
    return { text, fault: this.query.includes('#') ? bad('the query contains a fragment') : fault }
  }

  /** The decoded path. It is computed again only if the arguments differ from those of the last call. */
  path(encodedSlashes: EncodedSlashes, mergeSlashes = true): DecodedPath {
    if (this.#rewritten !== undefined) return this.#rewritten
    const isKnown = this.#encodedSlashes === encodedSlashes && this.#mergeSlashes === mergeSlashes
    if (isKnown && this.#decoded !== undefined) return this.#decoded
    const decoded = decodePath(this.rawPath, encodedSlashes, mergeSlashes, this.spelling)
    this.#encodedSlashes = encodedSlashes
    this.#mergeSlashes = mergeSlashes
    this.#decoded = this.query.includes('#') ? { ...decoded, fault: bad('the query contains a fragment') } : decoded
    return this.#decoded
  }
}

const bad = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_REQUEST', { detail })

/** Normalises a path with httpd's ap_normalize_path alone: only the escapes of unreserved characters are decoded. */
export function encodedPath(raw: string, mergeSlashes = true): DecodedPath {
  let fault = malformed(raw)
  const { text, aboveRoot } = normalise(decodeUnreserved(raw), mergeSlashes)
  if (/(?:^|[\\/]|%2f|%5c)\.\.(?:[\\/]|%2f|%5c|$)/i.test(text)) fault ??= bad('the path contains a hidden dot segment')
  if (aboveRoot) fault ??= bad('the path leads above the root')
  return { text, fault }
}

function malformed(raw: string): WsTunnelError | undefined {
  if (raw.includes('#')) return bad('the path contains a fragment')
  if (/[\0-\x20\x7f]/.test(raw)) return bad('the path contains a space or control character')
  if (/%(?![0-9a-f]{2})/i.test(raw)) return bad('the path contains a % that does not start an escape')
  return undefined
}

/**
 * Normalises and decodes a path with httpd's ap_normalize_path and ap_unescape_url_ex: decodes unreserved characters,
 * resolves the segments `.` and `..`, merges slashes if `mergeSlashes` is true, then decodes everything else.
 * `encodedSlashes` decides about `%2F`. If `spelling` is `'exact'`, the escapes of reserved characters stay escapes.
 */
export function decodePath(
  raw: string,
  encodedSlashes: EncodedSlashes,
  mergeSlashes = true,
  spelling: PathSpelling = 'normalise',
): DecodedPath {
  if (/^[\w\-.~!$&'()*+,;=:@/]*$/.test(raw) && !/\/[./]/.test(raw)) return { text: raw, fault: undefined }

  let fault = malformed(raw)
  if (/%00/.test(raw)) fault ??= new WsTunnelError('WST_ERR_ENCODED_SLASH', { detail: 'encoded NUL' })
  if (encodedSlashes === 'reject' && /%2f/i.test(raw)) {
    fault ??= new WsTunnelError('WST_ERR_ENCODED_SLASH', { detail: 'see the option `encodedSlashes`' })
  }

  const normal = normalise(decodeUnreserved(raw), mergeSlashes)
  const bytes = decodeEscapes(normal.text, keptEscapes(encodedSlashes, spelling))
  const result = encodedSlashes === 'decode' ? normalise(bytes, mergeSlashes) : { text: bytes, aboveRoot: false }
  const text = bytesToText(result.text)
  // Some backends read a backslash, or the kept `%2F`, as a slash.
  if (/(?:^|[\\/]|%2f)\.\.(?:[\\/]|%2f|$)/i.test(text)) fault ??= bad('the path contains a hidden dot segment')
  if (normal.aboveRoot || result.aboveRoot) fault ??= bad('the path leads above the root')
  if (spelling === 'normalise' || !text.includes('%')) return { text, fault }
  const decoded = bytesToText(decodeEscapes(normal.text, keptEscapes(encodedSlashes, 'normalise')))
  return decoded === text ? { text, fault } : { text, decoded, fault }
}

/** Resolves dot segments and merges slashes (RFC 3986 5.2.4, MergeSlashes). */
function normalise(path: string, mergeSlashes: boolean): { text: string; aboveRoot: boolean } {
  let aboveRoot = false
  const segments: string[] = []
  const parts = path.replace(/^\/+/, '').split('/')
  parts.forEach((part, i) => {
    const last = i === parts.length - 1
    if (part === '..') {
      if (segments.length === 0) aboveRoot = true
      segments.pop()
    } else if (part !== '.' && (part !== '' || !(mergeSlashes || last))) segments.push(part)
    if (last && (part === '' || part === '.' || part === '..')) segments.push('')
  })
  return { text: path.startsWith('/') ? `/${segments.join('/')}` : path, aboveRoot }
}

/**
 * Matches a prefix as httpd's alias_match does: literally, case-sensitively, and up to a segment boundary. A run of
 * slashes matches a run of any length.
 *
 * @returns how many characters of the path the prefix covers, or -1.
 */
export function prefixLength(path: string, prefix: string): number {
  let at = 0
  for (let i = 0; i < prefix.length; ) {
    if (prefix[i] === '/') {
      if (path[at] !== '/') return -1
      while (prefix[i] === '/') i++
      while (path[at] === '/') at++
    } else if (prefix[i++] !== path[at++]) return -1
  }
  const boundary = prefix.endsWith('/') || at === path.length || path[at] === '/'
  return boundary ? at : -1
}

/**
 * Matches a prefix as a servlet container reads it. Such a backend removes the parameters (`;name=value`) of every
 * segment before it resolves dot segments, so it reads `/x/..;/app` as `/app`. httpd: alias_match_servlet.
 *
 * @returns how many characters of the path the prefix covers, or -1.
 */
export function servletPrefixLength(path: string, prefix: string): number {
  const segments: { name: string; start: number; end: number }[] = []
  for (const { 0: whole, 1: name = '', index } of path.matchAll(/\/+([^/;]*)(?:;[^/]*)?/g)) {
    const start = index + whole.search(/[^/]|$/)
    if (name === '..') {
      if (segments.pop() === undefined) return -1
    } else if (name !== '.') segments.push({ name, start, end: start + name.length })
  }
  const wanted = prefix.split('/').filter(name => name !== '')
  const open = prefix.endsWith('/')
  if (segments.length < wanted.length + (open ? 1 : 0)) return -1
  if (wanted.some((name, i) => segments[i]?.name !== name)) return -1
  const next = segments[wanted.length]
  const last = segments[wanted.length - 1]
  if (next === undefined) return path.length
  if (open) return next.start
  return last !== undefined && path[last.end] === ';' ? last.end : next.start - 1
}
