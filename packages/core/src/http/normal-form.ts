import { decodeUnreserved } from './percent-encoding.ts'

/** Why a request target is not spelled in its normal form. */
export interface Misspelling {
  readonly reason: string
  /** The normal form; `undefined` if the target has none. */
  readonly normal: string | undefined
}

/** Origin-form targets without escapes in which no segment is empty or begins with a dot or a semicolon. Most are. */
const SIMPLE =
  /^\/(?:[\w~!$&'()*+,=:@-][\w~!$&'()*+,=:@.;-]*\/)*(?:[\w~!$&'()*+,=:@-][\w~!$&'()*+,=:@.;-]*)?(?:\?[\x21\x22\x24-\x7e]*)?$/

/** An absolute-form target (RFC 9112 3.2.2). */
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\\]*(.*)$/is

/** An absolute-form target whose authority every reader takes for a host and a port. */
const PLAIN_ABSOLUTE = /^https?:\/\/((?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?)(\/.*)$/s

/**
 * The origin form of an absolute-form target with the scheme `http` or `https` and the server's own host. An app that
 * compares the text of `req.url` with a path sees the same path as one that parses it.
 *
 * @param host the value of `Host`
 * @returns `undefined` for every other target.
 */
export function ownOriginForm(target: string, host: string | undefined): string | undefined {
  const [, authority, originForm] = PLAIN_ABSOLUTE.exec(target) ?? []
  return authority !== undefined && authority.toLowerCase() === host?.toLowerCase() ? originForm : undefined
}

/** Characters that `url.parse` escapes in a path. */
const ESCAPED_BY_URL_PARSE = /["'<>^`{|}]/

/**
 * Compares a request target with its normal form, in which two readers cannot find two paths: no dot segments and no empty
 * segments (RFC 3986 6.2.2.3), no escapes of unreserved characters (RFC 3986 6.2.2.2), no bytes that must be escapes, no
 * fragment. A segment counts without its parameters (`;name=value`), because servlet containers resolve `/x/..;/`.
 * The normal form is the origin form: frameworks differ in which part of an absolute form is the path.
 *
 * @param mergeSlashes false allows runs of slashes, except at the beginning (MergeSlashes).
 * @returns `undefined` for a target in its normal form, for `*`, and for a path with a malformed escape.
 */
export function misspelling(target: string, mergeSlashes: boolean): Misspelling | undefined {
  if (SIMPLE.test(target) || target === '*') return undefined
  const [, afterAuthority] = ABSOLUTE.exec(target) ?? []
  const originForm = afterAuthority ?? target
  const mark = originForm.indexOf('?')
  const path = mark === -1 ? originForm : originForm.slice(0, mark)
  const query = mark === -1 ? '' : originForm.slice(mark)
  const normal = normalPath(path.replace(/#.*$/s, ''), mergeSlashes) + query.replace(/#.*$/s, '')
  if (originForm.includes('#')) return { reason: 'it has a fragment', normal }
  if (afterAuthority !== undefined) return { reason: 'it is an absolute form that can have two readings', normal }
  if (path !== '' && !path.startsWith('/')) return { reason: 'it is not a path', normal: undefined }
  if (normal !== originForm) return { reason: 'its path has another spelling', normal }
  if (/(?:\/|%2f|%5c)\.\.?(?:;[^/]*?)?(?:\/|%2f|%5c|$)/i.test(path))
    return { reason: 'it has a dot segment beside an encoded slash', normal: undefined }
  // Only with this byte in the query does Express read an origin-form target by `url.parse`.
  if (query.includes('\xa0') && ESCAPED_BY_URL_PARSE.test(path))
    return { reason: 'its query has a byte that must be an escape', normal: path + query.replaceAll('\xa0', '%A0') }
  return undefined
}

function normalPath(path: string, mergeSlashes: boolean): string {
  if (path === '' || path === '/') return path
  const text = decodeUnreserved(path).replace(/[^\x21-\x7e]|\\/gu, escapeCharacter)
  const parts = text.replace(/^\/+/, '').split('/')
  const segments: string[] = []
  parts.forEach((part, i) => {
    const isLast = i === parts.length - 1
    const name = part.replace(/;.*$/s, '')
    if (name === '..') segments.pop()
    else if (name !== '.' && (part === '' ? !mergeSlashes && !isLast : name !== '' || isLast)) segments.push(part)
    if (isLast && (part === '' || name === '.' || name === '..')) segments.push('')
  })
  return `/${segments.join('/')}`
}

/** The bytes of a request target are latin1 characters. Other characters can come only from the app. */
const escapeCharacter = (character: string): string =>
  Array.from(
    Buffer.from(character, character <= '\xff' ? 'latin1' : 'utf8'),
    byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('')
