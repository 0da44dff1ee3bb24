import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HeaderList } from '../http/header-list.ts'
import type { PlainResponse } from '../http/plain-response.ts'
import type { InterimResponse } from '../http/response-head.ts'
import type { CancelSignal } from '../util/abort.ts'
import type { RequestBody } from './request-body.ts'
import type { Limits } from './request-limits.ts'
import type { Worker } from './worker.ts'

/** The limits of a plain request, ms; 0 is no limit. */
export interface PlainLimits extends Limits {
  /** How long the client may send no byte of a body that it has announced. */
  readonly stallTimeout: number
}

/** One plain request for one backend. */
export interface PlainTrip {
  readonly worker: Worker
  readonly method: string
  /** The exact bytes of the request target. */
  readonly path: string
  /** The end-to-end fields, then the framing of the body. One character is one byte. The engine adds `Connection`. */
  readonly headers: HeaderList
  readonly body: RequestBody
  readonly limits: PlainLimits
  /** Ends the round trip; it rejects with the signal's reason. */
  readonly signal: CancelSignal
  /** Called with each interim response (1xx). */
  readonly onInterim: (response: InterimResponse) => void
  /** The client's request. */
  readonly req: IncomingMessage
  /** The response to the client. Only an engine that writes it itself needs it. */
  readonly res: ServerResponse
}

/**
 * An engine for plain HTTP: one round trip to one backend. It resolves when the head of the response arrives; the body of the
 * request may not be sent completely at that time. It repeats a request whose kept connection turns out to be closed.
 *
 * @throws {WsTunnelError} 408, 502, 503 or 504, depending on the failure.
 */
export type PlainEngine = (trip: PlainTrip) => Promise<PlainResponse>
