import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ServerSettings } from '@ws-tunnel/httpd-conf'

/** How often the bodies are looked at, ms. */
const INTERVAL = 1_000

/** Timeout of httpd, ms. */
const TIMEOUT = 60_000

/** A request whose body has not arrived yet. */
interface Reading {
  readonly req: IncomingMessage
  readonly socket: Socket
  readonly settings: ServerSettings
  readonly onSlow: () => void
  readonly firstByte: number
  /** Bytes of the connection at the last look. */
  bytes: number
  /** The time that the client had so far, ms: without the time in which the backend did not read. */
  elapsed: number
  /** The time since the last byte, ms. */
  silence: number
}

/**
 * Ends requests whose body arrives too slowly: no byte for Timeout, or slower than RequestReadTimeout allows. The time in
 * which the backend takes no byte does not count.
 */
export class BodyLimits {
  readonly #readings = new Set<Reading>()
  #timer: NodeJS.Timeout | undefined

  /** @param onSlow is called once, if the body is too slow. */
  watch(req: IncomingMessage, settings: ServerSettings, onSlow: () => void): void {
    const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0
    if (!hasBody || req.complete) return
    const { socket } = req
    const reading = {
      req,
      socket,
      settings,
      onSlow,
      firstByte: socket.bytesRead,
      bytes: socket.bytesRead,
      elapsed: 0,
      silence: 0,
    }
    this.#readings.add(reading)
    req.once('close', () => this.#readings.delete(reading))
    this.#timer ??= setInterval(() => this.#look(), INTERVAL).unref()
  }

  #look(): void {
    for (const reading of this.#readings) {
      const { req, socket, onSlow } = reading
      if (req.complete || req.destroyed) this.#readings.delete(reading)
      else if (req.readableLength === 0) {
        reading.silence = socket.bytesRead === reading.bytes ? reading.silence + INTERVAL : 0
        reading.elapsed += INTERVAL
        reading.bytes = socket.bytesRead
        if (!isTooSlow(reading)) continue
        this.#readings.delete(reading)
        onSlow()
      }
    }
    if (this.#readings.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** httpd: reqtimeout_filter. */
function isTooSlow({ settings, bytes, firstByte, elapsed, silence }: Reading): boolean {
  const { timeout = TIMEOUT, requestReadTimeout } = settings
  if (timeout > 0 && silence >= timeout) return true
  const body = requestReadTimeout?.body
  if (body === undefined || body.initial === 0) return false
  const earned = body.minRate === undefined ? 0 : ((bytes - firstByte) / body.minRate) * 1_000
  return elapsed > Math.min(body.initial + earned, body.max ?? Number.POSITIVE_INFINITY)
}
