import type { IncomingMessage } from 'node:http'
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
  /** The error that was deferred. */
  readonly fault: WsTunnelError | undefined
  #parsedIsSent = false

  /**
   * @param parsed what a body parser has read (`req.body`)
   * @param defer keeps the error as {@link fault}: the engine of another package may have listeners that write the body.
   * @throws {WsTunnelError} `WST_ERR_BODY_CONSUMED` if the body was read and cannot be written again.
   */
  constructor(req: IncomingMessage, parsed: unknown, defer: boolean = false) {
    this.#req = req
    this.#wasUnread = !req.readableDidRead
    try {
      this.#parsed = parsedBody(req, parsed)
    } catch (error) {
      if (!defer || !(error instanceof WsTunnelError)) throw error
      this.fault = error
    }
  }

  /** The parsed body. It needs new framing. */
  get parsed(): ParsedBody | undefined {
    return this.#parsed
  }

  /** Whether the client's bytes are sent as they arrive. */
  get isStreamed(): boolean {
    return this.#parsed === undefined && this.fault === undefined && announcesBody(this.#req)
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
export interface ParsedBody {
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
