import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ErrorDocument, ServerSettings } from '@ws-tunnel/httpd-conf'

/**
 * Sends a response of the gateway itself, unless the client has disconnected.
 *
 * @param documents of ErrorDocument. A path without a file is not served.
 */
export function respond(res: ServerResponse, status: number, documents?: ServerSettings['errorDocuments']): void {
  if (res.destroyed) return
  const document = documents?.get(status)
  if (document !== undefined && 'url' in document) {
    res.writeHead(302, { Location: document.url, 'Content-Length': 0 }).end()
    return
  }
  const { body, type } = pageOf(status, document)
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  res.end(body)
}

/** The page of a status. */
function pageOf(status: number, document: ErrorDocument | undefined): { body: string; type: string } {
  if (document !== undefined && 'text' in document) return { body: document.text, type: 'text/html; charset=utf-8' }
  if (document !== undefined && 'page' in document) return { body: document.page, type: document.type }
  return { body: bodyOf(status), type: 'text/plain; charset=utf-8' }
}

const bodyOf = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}\n`

/** A request that Node's parser refused, or that took too long to arrive. */
export interface RefusedRequest {
  /** The request line, as far as it is known; `-` if it is not. */
  readonly requestLine: string
  readonly status: number
}

/** The status that Node itself would send. */
function statusOf(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 413
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

/** An error of the parser. Node adds the bytes that it could not parse. */
export type ParserError = Error & { code?: string; rawPacket?: Buffer }

/** Reads what is known about a refused request. Returns `undefined` if the client sent no request, or has left. */
export function refusedRequest({ code, rawPacket }: ParserError, socket: Socket): RefusedRequest | undefined {
  if (code === 'ECONNRESET' || socket.bytesRead === 0) return undefined
  const [line = ''] = (rawPacket ?? Buffer.alloc(0)).toString('latin1').split(/\r?\n/, 1)
  // The bytes are those of the last read. They begin with the request line only if it was the first read of the request.
  const isFirst = rawPacket !== undefined && (socket.bytesRead === rawPacket.length || /^[!-~]+ \S+ HTTP\//.test(line))
  return { requestLine: isFirst && line !== '' ? line : '-', status: statusOf(code) }
}

/**
 * Sends the response to a refused request, and closes the connection.
 *
 * @returns the size of the body.
 */
export function respondRaw(socket: Socket, status: number): number {
  const body = bodyOf(status)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n`
  socket.end(head + body, 'latin1', () => socket.destroy())
  return body.length
}
