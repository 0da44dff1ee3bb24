import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/http2.ts'
import type { InterimResponse } from '../http/response-head.ts'
import type { LocalResponse } from '../options/route-options.ts'
import { writeHead } from './write-head.ts'

/**
 * Copies a backend's response to the client, whole. Resolves when it is sent or the client has left. A response that
 * breaks off closes the client's connection, so that it is not taken for a complete one.
 *
 * @param headers makes the header fields for the client; it may throw.
 */
export async function relay(response: IncomingMessage, res: ServerResponse, headers: () => HeaderList): Promise<void> {
  const { statusCode = 502, statusMessage } = response
  try {
    if (statusCode < 200)
      throw new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: `status ${statusCode} that was not requested` })
    writeHead(res, statusCode, statusMessage, headers())
  } catch (error) {
    response.destroy()
    throw error
  }
  await new Promise<void>(resolve => {
    // These listeners run before all others, which may destroy `res`: over HTTP/2, the client would take a response that
    // is only destroyed for a complete one.
    response.prependListener('error', () => cut(res))
    response.prependListener('close', () => {
      if (!response.complete) cut(res)
    })
    res.on('close', () => {
      response.destroy()
      resolve()
    })
    if (res.destroyed) response.destroy()
    response.pipe(res)
  })
}

/** Aborts a response, so that a truncated body is not taken for a complete one. */
export function cut(res: ServerResponse): void {
  if ('stream' in res) (res as unknown as Http2ServerResponse).stream?.close(constants.NGHTTP2_INTERNAL_ERROR)
  else res.destroy()
}

/**
 * Relays an interim response (1xx). Node has no function that accepts any status and any field, so the bytes are written to
 * the socket. A response that waits for an earlier one has no socket yet. Its interim responses are dropped, which RFC 9110
 * 15.2 allows.
 */
export function relayInterim(
  res: ServerResponse,
  { statusCode, statusMessage }: InterimResponse,
  headers: HeaderList,
): void {
  const { socket, req } = res
  if (res.headersSent || socket === null || !socket.writable || req.httpVersion !== '1.1') return
  const lines = Array.from(headers, ([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join('')}\r\n`, 'latin1')
}

/** Sends a response without a backend. Resolves when it is sent or the client has left. */
export async function respond(res: ServerResponse, { status, location }: LocalResponse): Promise<void> {
  res.statusCode = status
  if (location !== undefined) res.setHeader('Location', location)
  if (res.hasHeader('transfer-encoding')) res.removeHeader('transfer-encoding')
  if (!isHttp2(res.req)) res.setHeader('Content-Length', 0)
  const sent = new Promise<void>(resolve => res.once('close', resolve))
  res.end()
  if (!res.closed) await sent
}
