import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { headerLines } from '../http/header-list.ts'
import { trimBlanks } from '../http/trim-blanks.ts'
import { announcesBody } from '../http/upgrade.ts'
import { formText } from './form-text.ts'
import { jsonText } from './json-text.ts'

/** A body that a body parser has read. */
export interface ParsedBody {
  readonly bytes: Buffer
  /** Whether the client's Content-Encoding no longer applies, because the bytes are not those of the client. */
  readonly rewritten: boolean
}

/**
 * The bytes of a body that a body parser has read: the raw bytes if they were kept, else a text that certainly means the
 * same. The original is gone, so a text is written only if the length of the client's body, or the value itself, shows
 * that nothing was lost.
 *
 * @param body what the parser made (`req.body`)
 * @param rawBody what was kept of the body, if not in `req.rawBody`
 * @returns `undefined` if the body was not read, or is empty.
 * @throws {WsTunnelError} `WST_ERR_BODY_CONSUMED` if the body cannot be sent as it was.
 */
export function parsedBody(req: IncomingMessage, body: unknown, rawBody?: unknown): ParsedBody | undefined {
  if (!announcesBody(req) || !req.readableDidRead) return undefined
  if (!req.readableEnded) throw consumed('it was read in part')
  const isCoded = headerLines(req, 'content-encoding').some(each => !/^(?:identity)?$/i.test(trimBlanks(each)))
  const declared = headerLines(req, 'content-length')[0]
  const length = declared === undefined ? undefined : Number(declared)
  if (length === 0) return undefined
  const kept = rawBody ?? (req as { rawBody?: unknown }).rawBody ?? body
  if (kept instanceof Uint8Array)
    return keptBytes(Buffer.from(kept.buffer, kept.byteOffset, kept.length), length, isCoded)
  // A decompressed body has not the length that the client has sent.
  const comparable = isCoded ? undefined : length
  const { type, charset } = contentType(req)
  const bytes = kept === body ? writtenAgain(body, type, charset, comparable) : textBytes(kept, 'utf-8', comparable)
  if (bytes === undefined)
    throw consumed(
      `a parsed body of the type ${type || '(none)'} may differ from the client's; mount the tunnel before the body parser, or let the parser keep the bytes in req.rawBody`,
    )
  return { bytes, rewritten: true }
}

const consumed = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BODY_CONSUMED', { detail })

/** Bytes that were kept before or after they were decompressed. Only the length tells which. */
function keptBytes(bytes: Buffer, length: number | undefined, isCoded: boolean): ParsedBody {
  if (isCoded && length === undefined)
    throw consumed('it may be compressed or not; mount the tunnel before the body parser, or send Content-Length')
  return { bytes, rewritten: isCoded && bytes.length !== length }
}

function writtenAgain(
  body: unknown,
  type: string,
  charset: string | undefined,
  length: number | undefined,
): Buffer | undefined {
  const isJson = /^application\/(?:json|.*\+json)$/.test(type)
  if (typeof body === 'string') {
    const text = textBytes(body, charset, length)
    // A parser of text gives the text, and a parser of JSON the value of a JSON string. The length tells which.
    return isJson && text?.length !== length ? asUtf8(jsonText(body, length), charset) : text
  }
  if (isJson) return asUtf8(jsonText(body, length), charset)
  if (type === 'application/x-www-form-urlencoded') return asUtf8(formText(body, length), charset)
  return undefined
}

const asUtf8 = (text: string | undefined, charset = 'utf-8'): Buffer | undefined =>
  text === undefined || charset !== 'utf-8' ? undefined : Buffer.from(text)

/**
 * The bytes of a text in the charset that the client has named. `undefined` if the parser may have read it in another
 * charset, or has replaced malformed bytes.
 */
function textBytes(text: unknown, charset: string | undefined, length: number | undefined): Buffer | undefined {
  if (typeof text !== 'string' || text.includes('\ufffd') || !text.isWellFormed()) return undefined
  const isAscii = !/[^\0-\x7f]/.test(text)
  const isLatin1 = charset === 'iso-8859-1' && !/[^\0-\xff]/.test(text)
  if (!isLatin1 && charset !== 'utf-8' && !(charset === 'us-ascii' && isAscii) && charset !== undefined)
    return undefined
  const bytes = Buffer.from(text, isLatin1 ? 'latin1' : 'utf-8')
  if (length !== undefined) return bytes.length === length ? bytes : undefined
  return isAscii || charset !== undefined ? bytes : undefined
}

/** The media type and the charset, both in lower case. */
function contentType(req: IncomingMessage): { type: string; charset: string | undefined } {
  const [type = '', ...parameters] = (req.headers['content-type'] ?? '').toLowerCase().split(';').map(trimBlanks)
  const charsets = parameters.filter(each => each.startsWith('charset'))
  const charset = charsets.length === 0 ? undefined : charsets.join().replace(/^charset="?([^"]*)"?$/, '$1')
  return { type, charset: charset === 'utf8' ? 'utf-8' : charset }
}
