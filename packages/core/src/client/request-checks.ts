import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { hasField, headerLines, headerValue } from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'
import { misspelling } from '../http/normal-form.ts'
import { trimBlanks } from '../http/trim-blanks.ts'

/**
 * Checks the WebSocket fields of an upgrade request.
 *
 * @param strict also checks key and version (RFC 6455 4.2.1).
 * @throws {WsTunnelError} `WST_ERR_BAD_HANDSHAKE` for duplicate fields, and for wrong ones if `strict`.
 */
export function checkWebSocketFields(req: IncomingMessage, strict: boolean): void {
  for (const name of ['Sec-WebSocket-Key', 'Sec-WebSocket-Version']) {
    if (headerLines(req, name).length > 1) throw badHandshake(`more than one ${name}`)
  }
  if (!strict) return
  const key = headerValue(req, 'sec-websocket-key')
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) throw badHandshake('Sec-WebSocket-Key is not 16 bytes in base64')
  if (headerValue(req, 'sec-websocket-version') !== '13') throw badHandshake('Sec-WebSocket-Version is not 13')
}

function badHandshake(detail: string): WsTunnelError {
  return new WsTunnelError('WST_ERR_BAD_HANDSHAKE', { detail })
}

/**
 * Checks `Origin` against the allowed scheme, host and port. A request without `Origin` passes, because it does not
 * come from a browser (RFC 6455 10.2).
 *
 * @throws {WsTunnelError} `WST_ERR_ORIGIN`
 */
export function checkOrigin(req: IncomingMessage, allowed: ReadonlySet<string> | undefined): void {
  if (allowed === undefined) return
  const origins = headerLines(req, 'origin')
  if (origins.length === 0) return
  if (origins.length > 1 || !allowed.has((origins[0] as string).toLowerCase()))
    throw new WsTunnelError('WST_ERR_ORIGIN')
}

/**
 * Checks the version of the request line. On a socket it is the client's word, and Node's parser accepts `HTTP/0.9` and
 * `HTTP/2.0`. Only a request that came over an HTTP/2 session is HTTP/2.
 *
 * @throws {WsTunnelError} `WST_ERR_HTTP_VERSION`
 */
export function checkVersion(req: IncomingMessage): void {
  const { httpVersion } = req
  if (httpVersion === '1.1' || httpVersion === '1.0' || isHttp2(req)) return
  throw new WsTunnelError('WST_ERR_HTTP_VERSION', { detail: `HTTP/${httpVersion}`, headers: { Connection: 'close' } })
}

/**
 * Checks that a request target is spelled in its normal form, so that the app and the backend see one path.
 *
 * @throws {WsTunnelError} `WST_ERR_PATH_SPELLING`, whose message has the normal form.
 */
export function checkSpelling(target: string, mergeSlashes: boolean): void {
  const found = misspelling(target, mergeSlashes)
  if (found === undefined) return
  const { reason, normal } = found
  throw new WsTunnelError('WST_ERR_PATH_SPELLING', {
    detail: normal === undefined ? reason : `${reason}; the normal form is ${JSON.stringify(normal)}`,
  })
}

const bad = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_REQUEST', { detail })

/**
 * Checks what Node checks for a plain request but not for one that requests an upgrade: exactly one well-formed `Host`
 * that agrees with an absolute-form request target (RFC 9112 3.2), and no framing but a length or `chunked` (RFC 9112
 * 6.3).
 *
 * @throws {WsTunnelError} `WST_ERR_BAD_REQUEST`
 */
export function checkRequest(req: IncomingMessage, authority: string | undefined): void {
  if (isHttp2(req)) return
  const codings = headerLines(req, 'transfer-encoding')
  if (codings.length > 0) {
    if (codings.length > 1 || trimBlanks(codings[0] as string).toLowerCase() !== 'chunked')
      throw bad('Transfer-Encoding is not chunked')
    if (hasField(req, 'content-length')) throw bad('both Content-Length and Transfer-Encoding')
  }
  const hosts = headerLines(req, 'host')
  if (hosts.length > 1) throw bad('more than one Host')
  if (hosts.length === 0 && req.httpVersion === '1.1') throw bad('no Host')
  const host = hosts[0] ?? ''
  if (!/^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i.test(host)) throw bad('Host is malformed')
  if (authority !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    throw bad('Host differs from the host of the request target')
  }
}
