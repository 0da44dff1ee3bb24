import type { ClientRequest } from 'node:http'
import { allowedTrailers, Countdown, headerLines, type PlainTrip } from '@ws-tunnel/core/engine'

/** Gets the news of a body that is sent. */
export interface BodyOwner {
  /** A part of the body was sent. */
  onBodyProgress(): void
  /** The client has sent no byte of its body for `stallTimeout`. */
  onBodyStalled(ms: number): void
}

/** Streams the body of the client to the backend, with its trailers. */
export class BodyPipe {
  readonly #trip: PlainTrip
  readonly #sent: ClientRequest
  readonly #owner: BodyOwner
  #stall: Countdown | undefined

  constructor(trip: PlainTrip, sent: ClientRequest, owner: BodyOwner) {
    this.#trip = trip
    this.#sent = sent
    this.#owner = owner
  }

  start(): void {
    const { req } = this.#trip
    this.#startStall()
    // Before `pipe`, which ends the request at the end of the body.
    req.on('end', this.#clientOnEnd)
    req.pipe(this.#sent)
    req.on('data', this.#clientOnData)
  }

  stop(): void {
    const { req } = this.#trip
    this.#stall?.stop()
    req.unpipe(this.#sent)
    req.off('data', this.#clientOnData).off('end', this.#clientOnEnd)
  }

  #startStall(): void {
    const { stallTimeout } = this.#trip.limits
    if (stallTimeout > 0) this.#stall = new Countdown(stallTimeout, () => this.#stalled(stallTimeout))
  }

  /** A client whose body waits for a slow backend does not stall. */
  #stalled(ms: number): void {
    if (this.#sent.writableNeedDrain) this.#startStall()
    else this.#owner.onBodyStalled(ms)
  }

  readonly #clientOnData = (): void => {
    this.#stall?.refresh()
    this.#owner.onBodyProgress()
  }

  readonly #clientOnEnd = (): void => {
    this.#stall?.stop()
    const { req } = this.#trip
    if (req.rawTrailers.length === 0) return
    const raw = allowedTrailers(req.rawTrailers, headerLines(req, 'connection'))
    const fields: [string, string][] = []
    for (let i = 0; i + 1 < raw.length; i += 2) fields.push([raw[i] as string, raw[i + 1] as string])
    if (fields.length > 0) this.#sent.addTrailers(fields)
  }
}
