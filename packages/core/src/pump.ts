import type { Duplex } from 'node:stream'

/** One direction of a tunnel. */
export interface Pump {
  /** Stops, and hands on what was received but not yet moved: a destroyed stream would emit none of it. */
  flush(): void
  /** Stops, and leaves what was received where it is. */
  stop(): void
}

/** How often a source that is not read is asked whether its peer is still there, ms. */
const PROBE_INTERVAL = 300

const NOTHING = Buffer.alloc(0)

/**
 * Node hears no RST on a socket that it does not read. A write of no bytes sends nothing, and fails on a reset one: it is
 * made now and then for as long as the socket is paused.
 */
export class PausedProbe {
  readonly #socket: Duplex
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** To be called at each pause; a probe that runs already goes on. */
  start(): void {
    this.#timer ??= setTimeout(this.#probe, PROBE_INTERVAL)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #probe = (): void => {
    this.#timer = undefined
    if (!this.#socket.isPaused() || this.#socket.destroyed) return
    if (this.#socket.writable && this.#socket.writableLength === 0) this.#socket.write(NOTHING)
    this.start()
  }
}

/**
 * Moves bytes from one socket to another until the source's FIN, which it passes on. The source is read only while the
 * sink takes what it gets, so no more than their buffers hold waits in between. httpd:
 * ap_proxy_transfer_between_connections.
 *
 * @param first bytes that were received before the pump, in order
 */
export function pump(source: Duplex, sink: Duplex, first: readonly Buffer[], moved: (bytes: number) => void): Pump {
  const paused = new PausedProbe(source)

  function sourceOnData(chunk: Buffer): void {
    moved(chunk.length)
    if (!sink.writable || sink.write(chunk)) return
    source.pause()
    paused.start()
  }
  function sinkOnDrain(): void {
    source.resume()
  }
  function sourceOnEnd(): void {
    sink.end()
  }
  source.on('data', sourceOnData)
  source.on('end', sourceOnEnd)
  sink.on('drain', sinkOnDrain)
  source.resume()
  for (const chunk of first) if (chunk.length > 0) sourceOnData(chunk)
  function stop(): void {
    paused.stop()
    source.off('data', sourceOnData)
    source.off('end', sourceOnEnd)
    sink.off('drain', sinkOnDrain)
  }
  return {
    stop,
    flush: () => {
      stop()
      for (let chunk = source.read(); chunk !== null; chunk = source.read()) {
        moved(chunk.length)
        if (sink.writable) sink.write(chunk)
      }
    },
  }
}
