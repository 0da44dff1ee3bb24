import type { Duplex } from 'node:stream'
import { isPlain, readDirectly } from './direct-read.ts'

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
  let stopped = false

  /** Whether the sink holds the bytes still. */
  function take(chunk: Buffer): boolean {
    if (stopped) return false
    moved(chunk.length)
    if (!sink.writable) return false
    const full = !sink.write(chunk)
    const held = sink.writableLength > 0
    // A write as long as the high-water mark is `full` even if the kernel took it at once.
    if (full && held) {
      source.pause()
      paused.start()
    }
    return held
  }
  function sinkOnDrain(): void {
    if (source.isPaused()) source.resume()
  }
  function sourceOnEnd(): void {
    sink.end()
  }
  function handOn(): void {
    for (let chunk = source.read(); chunk !== null; chunk = source.read()) take(chunk)
  }
  source.on('end', sourceOnEnd)
  sink.on('drain', sinkOnDrain)
  for (const chunk of first) if (chunk.length > 0) take(chunk)
  handOn()
  // A stream of another kind may hold on to bytes that it says are written.
  if (!isPlain(sink) || !readDirectly(source, take)) source.on('data', take)
  if (!sink.writableNeedDrain) source.resume()
  function stop(): void {
    paused.stop()
    stopped = true
    source.off('data', take)
    source.off('end', sourceOnEnd)
    sink.off('drain', sinkOnDrain)
  }
  return {
    stop,
    flush: () => {
      source.off('data', take)
      handOn()
      stop()
    },
  }
}
