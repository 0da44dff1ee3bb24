import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '../errors.ts'
import { announcesBody } from '../http/upgrade.ts'
import { type ParsedBody, parsedBody } from './parsed-body.ts'

/** The body of one plain request. It is streamed from the client, or written again from the result of a body parser. */
export class RequestBody {
  readonly #req: IncomingMessage
  readonly #parsed: ParsedBody | undefined
  readonly #wasUnread: boolean
  /** The error that was deferred. */
  readonly fault: WsTunnelError | undefined
  #parsedIsSent = false

  /**
   * @param parsed what a body parser has made (`req.body`)
   * @param raw the bytes that it has kept, if not in `req.rawBody`
   * @param defer keeps the error as {@link fault}: the engine of another package may have listeners that write the body.
   * @throws {WsTunnelError} `WST_ERR_BODY_CONSUMED` if the body was read and cannot be sent as it was.
   */
  constructor(req: IncomingMessage, parsed: unknown, raw?: unknown, defer: boolean = false) {
    this.#req = req
    this.#wasUnread = !req.readableDidRead
    try {
      this.#parsed = parsedBody(req, parsed, raw)
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
