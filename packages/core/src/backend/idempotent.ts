/**
 * Methods that may be repeated: RFC 9110 9.2.2 and those of IANA's registry of methods that Node parses. A request with
 * another method may have had its effect.
 */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
  'ACL',
  'BIND',
  'CHECKOUT',
  'COPY',
  'LINK',
  'MERGE',
  'MKACTIVITY',
  'MKCALENDAR',
  'MKCOL',
  'MOVE',
  'PROPFIND',
  'PROPPATCH',
  'QUERY',
  'REBIND',
  'REPORT',
  'SEARCH',
  'UNBIND',
  'UNLINK',
  'UNLOCK',
])

/** Whether a request with this method has the same effect if it is sent twice. */
export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method)
