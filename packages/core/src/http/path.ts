import { WsTunnelError } from '../errors.ts'

/** AllowEncodedSlashes: what becomes of `%2F`. */
export type EncodedSlashes = 'reject' | 'decode' | 'keep'

/** A path as routes match it. */
export interface DecodedPath {
  /** Normalised and decoded as httpd does before it matches; bytes that are no UTF-8 are lone surrogates U+DC80-U+DCFF. */
  readonly text: string
  /** Why the path may not be proxied, should a route match it. */
  readonly fault: WsTunnelError | undefined
}

/**
 * The request target: raw path and query, and the decoded path on demand. It never throws while it reads, so that a path
 * that no route matches stays the app's affair.
 */
export class RequestUrl {
  /** As the client wrote it, without query; `/` for an empty one. */
  readonly rawPath: string
  /** The path is empty: the mount point itself was asked for, without a slash behind it. */
  readonly bare: boolean
  /** With its `?`, or `''`. */
  readonly query: string
  /** Host of an absolute-form request target (RFC 9112 3.2.2). */
  readonly authority: string | undefined
  readonly #decoded = new Map<string, DecodedPath>()
  /** What it was rewritten to. */
  readonly #rewritten: DecodedPath | undefined

  /** @param rewritten the path is this text, already decoded; that of `url` is its canonical form. */
  constructor(url: string, rewritten?: string) {
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

  /** The path as `mapping: 'encoded'` matches it. */
  encoded(mergeSlashes: boolean): DecodedPath {
    const { text, fault } = encodedPath(this.rawPath, mergeSlashes)
    return { text, fault: this.query.includes('#') ? bad('the query holds a fragment') : fault }
  }

  /** The decoded path; each mode is computed once. */
  path(encodedSlashes: EncodedSlashes, mergeSlashes = true): DecodedPath {
    if (this.#rewritten !== undefined) return this.#rewritten
    const mode = `${encodedSlashes} ${mergeSlashes}`
    let decoded = this.#decoded.get(mode)
    if (decoded === undefined) {
      decoded = decodePath(this.rawPath, encodedSlashes, mergeSlashes)
      if (this.query.includes('#')) decoded = { text: decoded.text, fault: bad('the query holds a fragment') }
      this.#decoded.set(mode, decoded)
    }
    return decoded
  }
}

const bad = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_REQUEST', { detail })

/** httpd's ap_normalize_path alone: escapes stay, but for those of unreserved characters. */
export function encodedPath(raw: string, mergeSlashes = true): DecodedPath {
  let fault = malformed(raw)
  const { text, aboveRoot } = normalise(withoutNeedlessEscapes(raw), mergeSlashes)
  if (/(?:^|[\\/]|%2f|%5c)\.\.(?:[\\/]|%2f|%5c|$)/i.test(text)) fault ??= bad('the path holds a hidden dot segment')
  if (aboveRoot) fault ??= bad('the path leads above the root')
  return { text, fault }
}

function malformed(raw: string): WsTunnelError | undefined {
  if (raw.includes('#')) return bad('the path holds a fragment')
  if (/[\0-\x20\x7f]/.test(raw)) return bad('the path holds a space or control character')
  if (/%(?![0-9a-f]{2})/i.test(raw)) return bad('the path holds a % that begins no escape')
  return undefined
}

/** RFC 3986 6.2.2.2. */
const withoutNeedlessEscapes = (raw: string): string =>
  raw.replace(/%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )

/**
 * httpd's ap_normalize_path and ap_unescape_url_ex: unreserved characters decoded, `.` and `..` segments resolved,
 * slashes merged unless told otherwise, then everything decoded but what `encodedSlashes` says of `%2F`.
 */
export function decodePath(raw: string, encodedSlashes: EncodedSlashes, mergeSlashes = true): DecodedPath {
  if (/^[\w\-.~!$&'()*+,;=:@/]*$/.test(raw) && !/\/[./]/.test(raw)) return { text: raw, fault: undefined }

  let fault = malformed(raw)
  if (/%00/.test(raw)) fault ??= new WsTunnelError('WST_ERR_ENCODED_SLASH', { detail: 'encoded NUL' })
  if (encodedSlashes === 'reject' && /%2f/i.test(raw)) {
    fault ??= new WsTunnelError('WST_ERR_ENCODED_SLASH', { detail: 'see the option `encodedSlashes`' })
  }

  const normal = normalise(withoutNeedlessEscapes(raw), mergeSlashes)
  // Kept slashes stay escapes in the text, so `%25` must stay one too, or `%252F` would come out as `%2F`.
  const stays = encodedSlashes === 'decode' ? /^$/ : encodedSlashes === 'keep' ? /^(?:2f|25)$/i : /^2f$/i
  const bytes = normal.text.replace(/%([0-9a-f]{2})/gi, (sequence, hex: string) =>
    stays.test(hex) ? sequence : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const result = encodedSlashes === 'decode' ? normalise(bytes, mergeSlashes) : { text: bytes, aboveRoot: false }
  const text = bytesToText(result.text)
  // Some backends take a backslash, or the slash we kept, for a slash.
  if (/(?:^|[\\/]|%2f)\.\.(?:[\\/]|%2f|$)/i.test(text)) fault ??= bad('the path holds a hidden dot segment')
  if (normal.aboveRoot || result.aboveRoot) fault ??= bad('the path leads above the root')
  return { text, fault }
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

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** One character per byte -> text; a byte that belongs to no UTF-8 sequence becomes a lone surrogate, so none is lost. */
export function bytesToText(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes
  const buffer = Buffer.from(bytes, 'latin1')
  try {
    return strictUtf8.decode(buffer)
  } catch {
    return bytes.replace(
      /([\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})|[\x80-\xff]/g,
      (sequence, whole: string | undefined) => {
        try {
          if (whole !== undefined) return strictUtf8.decode(Buffer.from(whole, 'latin1'))
        } catch {}
        return sequence.replace(/./gs, byte => String.fromCharCode(0xdc00 + byte.charCodeAt(0)))
      },
    )
  }
}

const hex = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`

/**
 * httpd's canonical form (ap_proxy_canonenc_ex): alphanumerics and `~$-_.+!*'(),;:@&=/` as they are, every other byte
 * as an upper-case escape. Where slashes are kept, the escapes that the decoding left are passed on.
 */
export function encodePath(text: string, encodedSlashes: EncodedSlashes): string {
  if (/^[\w~$\-.+!*'(),;:@&=/]*$/.test(text)) return text
  const escapes = encodedSlashes === 'keep' ? /%(?:2[fF]|25)|[^\w~$\-.+!*'(),;:@&=/]/gu : /[^\w~$\-.+!*'(),;:@&=/]/gu
  return text.replace(escapes, char => (char.length === 3 && char.startsWith('%') ? char : percentEncode(char)))
}

/** A capture that becomes part of a query: nothing in it may end a name or a value. */
export function encodeQueryPart(text: string): string {
  return text.replace(/[^\w~\-.!*'()]/gu, percentEncode)
}

/** The bytes of one character as escapes. */
function percentEncode(char: string): string {
  const code = char.codePointAt(0) as number
  if (code >= 0xdc80 && code <= 0xdcff) return hex(code - 0xdc00)
  return Array.from(Buffer.from(char), hex).join('')
}

/**
 * httpd's alias_match: a literal, case-sensitive prefix that ends on a segment boundary; a run of slashes matches a run
 * of slashes.
 *
 * @returns how many characters of the path it covers, or -1.
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
 * How much of a path a prefix covers where the backend is a servlet container: it takes parameters (`;name=value`) off every
 * segment before it resolves dot segments, so `/x/..;/app` is `/app` to it. httpd: alias_match_servlet.
 *
 * @returns how many characters of the path it covers, or -1.
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
