import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import qs from 'qs'
import { WsTunnelError } from '../errors.ts'
import { headerLines } from '../http/header-list.ts'
import { trimBlanks } from '../http/trim-blanks.ts'
import { announcesBody } from '../http/upgrade.ts'

/** The body of one plain request. It is streamed from the client, or written again from the result of a body parser. */
export class RequestBody {
  readonly #req: IncomingMessage
  readonly #parsed: ParsedBody | undefined
  readonly #wasUnread: boolean
  #parsedIsSent = false

  /**
   * @param parsed what a body parser has read (`req.body`)
   * @throws {WsTunnelError} `WST_ERR_BODY_CONSUMED` if the body was read and cannot be written again.
   */
  constructor(req: IncomingMessage, parsed: unknown) {
    this.#req = req
    this.#wasUnread = !req.readableDidRead
    this.#parsed = parsedBody(req, parsed)
  }

  /** The parsed body. It needs new framing. */
  get parsed(): ParsedBody | undefined {
    return this.#parsed
  }

  /** The bytes to send; `undefined` if the request has no body. */
  source(): Readable | undefined {
    if (this.#parsed !== undefined) return Readable.from([this.#parsed.bytes])
    return announcesBody(this.#req) ? this.#req : undefined
  }

  /** Records that the parsed body is sent to a backend. */
  markParsedSent(): void {
    this.#parsedIsSent = this.#parsed !== undefined
  }

  /** Whether a backend got part of the body. The request cannot go to another backend then. */
  get begun(): boolean {
    return this.#wasUnread ? this.#req.readableDidRead : this.#parsedIsSent
  }

  /** Whether the client has sent the whole body. If no response arrives then, the backend is the cause, not the client. */
  get whole(): boolean {
    return !announcesBody(this.#req) || this.#req.complete
  }
}

/**
 * Reads the rest of a request's body and drops it. Node reads the next request of the connection only after the whole
 * body.
 */
export function discardRest(req: IncomingMessage): void {
  if (!announcesBody(req)) return
  req.unpipe()
  if (!req.readableEnded) req.resume()
}

/** A body that a body parser has read. */
interface ParsedBody {
  readonly bytes: Buffer
  /** Whether the bytes differ from those of the client, whose Content-Encoding then no longer applies. */
  readonly rewritten: boolean
}

/** Writes JSON and forms again. A body that cannot be written again is refused, because the request would lose it. */
function parsedBody(req: IncomingMessage, body: unknown): ParsedBody | undefined {
  if (!announcesBody(req) || !req.readableDidRead) return undefined
  if (!req.readableEnded) throw new WsTunnelError('WST_ERR_BODY_CONSUMED', { detail: 'in part' })
  const length = Number(headerLines(req, 'content-length')[0])
  const rewritten = (bytes: Buffer): ParsedBody => ({ bytes, rewritten: true })
  if (Buffer.isBuffer(body)) return { bytes: body, rewritten: body.length !== length }
  if (typeof body === 'string') return rewritten(Buffer.from(body))
  const type = trimBlanks((req.headers['content-type'] ?? '').split(';', 1)[0] as string).toLowerCase()
  if (body !== undefined && /^application\/(?:json|.*\+json)$/.test(type)) {
    return rewritten(Buffer.from(JSON.stringify(body)))
  }
  if (typeof body === 'object' && body !== null && type === 'application/x-www-form-urlencoded') {
    return rewritten(Buffer.from(formText(body)))
  }
  if (length === 0) return undefined
  throw new WsTunnelError('WST_ERR_BODY_CONSUMED', {
    detail: `content type ${type || 'unknown'}; mount the tunnel before the body parser`,
  })
}

/**
 * Writes a form with the library that Express reads forms with. A repeated name stays repeated (`a=1&a=2`) if the form
 * then reads back the same. Otherwise list items get their index (`a[0][b]=1`).
 */
function formText(body: object): string {
  const repeated = qs.stringify(body, { arrayFormat: 'repeat' })
  return isDeepStrictEqual(qs.parse(repeated), body) ? repeated : qs.stringify(body, { arrayFormat: 'indices' })
}
