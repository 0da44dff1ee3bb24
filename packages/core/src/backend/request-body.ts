import type { IncomingMessage } from 'node:http'
import { announcesBody } from '../http/upgrade.ts'
import { type ParsedBody, parsedBody } from './parsed-body.ts'

/** The body of one plain request. It is streamed from the client, or written again from the result of a body parser. */
export class RequestBody {
  readonly #req: IncomingMessage
  readonly #parsed: ParsedBody | undefined
  readonly #wasUnread: boolean
  #parsedIsSent = false

  /**
   * @param parsed what a body parser has made (`req.body`)
   * @param raw the bytes that it has kept, if not in `req.rawBody`
   * @throws {WsTunnelError} `WST_ERR_BODY_CONSUMED` if the body was read and cannot be sent as it was.
   */
  constructor(req: IncomingMessage, parsed: unknown, raw?: unknown) {
    this.#req = req
    this.#wasUnread = !req.readableDidRead
    this.#parsed = parsedBody(req, parsed, raw)
  }

  /** The parsed body. It needs new framing. */
  get parsed(): ParsedBody | undefined {
    return this.#parsed
  }

  /** Whether the client's bytes are sent as they arrive. */
  get isStreamed(): boolean {
    return this.#parsed === undefined && announcesBody(this.#req)
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
