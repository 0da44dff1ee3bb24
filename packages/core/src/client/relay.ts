import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import { WsTunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { InterimResponse } from '../http/response-head.ts'
import type { Rewriting } from '../proxy/rewriting.ts'
import type { Destination } from '../routing/destination.ts'
import type { LocalDestination } from '../routing/route.ts'
import { writeHead } from './write-head.ts'

/**
 * Copies a worker's HTTP answer to the client, whole. Resolves when it is sent or the client has left; an answer that
 * breaks off cuts the client's connection, so that nobody takes it for complete.
 */
async function relay(response: IncomingMessage, res: ServerResponse, headers: () => HeaderList): Promise<void> {
  const { statusCode = 502, statusMessage } = response
  try {
    if (statusCode < 200)
      throw new WsTunnelError('WST_ERR_BAD_SWITCH', { detail: `status ${statusCode} that was not asked for` })
    writeHead(res, statusCode, statusMessage, headers())
  } catch (error) {
    response.destroy()
    throw error
  }
  await new Promise<void>(resolve => {
    // Before the listeners of others: HTTP/2 takes a plain destroy for a whole answer.
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

/** Breaks an answer off, so that nobody takes what has come of it for the whole. */
export function cut(res: ServerResponse): void {
  if ('stream' in res) (res as unknown as Http2ServerResponse).stream?.close(constants.NGHTTP2_INTERNAL_ERROR)
  else res.destroy()
}

/**
 * Sends an interim answer (1xx) on. Node has no call that takes any status and header, so its bytes are written; an
 * answer that waits behind another (no socket yet) loses it, which RFC 9110 15.2 allows.
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

/** Relays what a backend has answered, unless the app is to answer in its place. */
export async function relayAnswer(
  response: IncomingMessage,
  res: ServerResponse,
  rewriting: Rewriting,
  destination: Destination,
): Promise<void> {
  destination.elected?.answered(response)
  checkStatus(response, destination.settings.errorOverride)
  await relay(response, res, () => rewriting.plainAnswer(response, destination))
}

/** @throws {WsTunnelError} `WST_ERR_BACKEND_STATUS` for an answer that the app is to give instead (ProxyErrorOverride). */
function checkStatus(response: IncomingMessage, overridden: boolean | readonly number[]): void {
  const { statusCode = 502, headers } = response
  if (overridden === false || (overridden === true ? statusCode < 400 : !overridden.includes(statusCode))) return
  response.destroy()
  const { 'www-authenticate': challenge } = headers
  const keeps = statusCode === 401 && challenge !== undefined
  throw new WsTunnelError('WST_ERR_BACKEND_STATUS', {
    statusCode,
    detail: `status ${statusCode}`,
    ...(keeps && { headers: { 'WWW-Authenticate': challenge } }),
  })
}

/** Resolves when the answer is sent or the client has left; what earlier middleware put on `res` goes with it. */
export async function answerLocally(res: ServerResponse, { status, location }: LocalDestination): Promise<void> {
  res.statusCode = status
  if (location !== undefined) res.setHeader('Location', location)
  if (res.req.httpVersionMajor === 1) res.setHeader('Content-Length', 0)
  const sent = new Promise<void>(resolve => res.once('close', resolve))
  res.end()
  if (!res.closed) await sent
}
