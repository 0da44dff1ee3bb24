import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { isPlain, readDirectly } from './direct-read.ts'

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
    this.#timer ??= setTimeout(() => this.#probe(), PROBE_INTERVAL)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #probe(): void {
    this.#timer = undefined
    if (!this.#socket.isPaused() || this.#socket.destroyed) return
    if (this.#socket.writable && this.#socket.writableLength === 0) this.#socket.write(NOTHING)
    this.start()
  }
}

/** Where the listeners of a stream find its pump: a function of its own for each would be most of an idle tunnel. */
const FROM = Symbol('ws-tunnel.from')
const INTO = Symbol('ws-tunnel.into')

interface Pumped {
  [FROM]?: Pump | undefined
  [INTO]?: Pump | undefined
}

function sourceOnData(this: Duplex & Pumped, chunk: Buffer): void {
  this[FROM]?.take(chunk)
}

const takeDirectly = (source: Duplex & Pumped, bytes: Buffer): boolean => source[FROM]?.take(bytes) ?? false

function sourceOnEnd(this: Duplex & Pumped): void {
  this[FROM]?.end()
}

function sinkOnDrain(this: Duplex & Pumped): void {
  this[INTO]?.resume()
}

/** Who hears of a source's FIN, before it is passed on. */
export interface PumpOwner {
  ended(source: Duplex): void
}

/**
 * Moves bytes from one socket to another until the source's FIN, which it passes on. The source is read only while the
 * sink takes what it gets, so no more than their buffers hold waits in between. httpd:
 * ap_proxy_transfer_between_connections.
 */
export class Pump {
  /** Bytes that were moved. */
  bytes = 0
  /** When the last were, on the clock of `performance`. */
  activeAt: number = performance.now()
  readonly #source: Duplex & Pumped
  readonly #sink: Duplex & Pumped
  readonly #owner: PumpOwner | undefined
  #paused: PausedProbe | undefined
  #stopped = false

  /** @param first bytes that were received before the pump, in order */
  constructor(source: Duplex, sink: Duplex, first: readonly Buffer[], owner?: PumpOwner) {
    this.#source = source
    this.#sink = sink
    this.#owner = owner
    this.#source[FROM] = this
    this.#sink[INTO] = this
    source.on('end', sourceOnEnd)
    sink.on('drain', sinkOnDrain)
    for (const chunk of first) if (chunk.length > 0) this.take(chunk)
    this.#handOn()
    // A stream of another kind may hold on to bytes that it says are written.
    if (!isPlain(sink) || !readDirectly(source, takeDirectly)) source.on('data', sourceOnData)
    if (!sink.writableNeedDrain) source.resume()
  }

  /** Takes bytes of the source. @returns whether the sink holds them still. */
  take(chunk: Buffer): boolean {
    if (this.#stopped) return false
    this.bytes += chunk.length
    this.activeAt = performance.now()
    const sink = this.#sink
    if (!sink.writable) return false
    const full = !sink.write(chunk)
    const held = sink.writableLength > 0
    // A write as long as the high-water mark is `full` even if the kernel took it at once.
    if (full && held) {
      this.#source.pause()
      this.#paused ??= new PausedProbe(this.#source)
      this.#paused.start()
    }
    return held
  }

  resume(): void {
    if (this.#source.isPaused()) this.#source.resume()
  }

  end(): void {
    this.#owner?.ended(this.#source)
    this.#sink.end()
  }

  /** Stops, and leaves what was received where it is. */
  stop(): void {
    this.#paused?.stop()
    this.#stopped = true
    this.#source.off('data', sourceOnData)
    this.#source.off('end', sourceOnEnd)
    this.#sink.off('drain', sinkOnDrain)
  }

  /** Stops, and hands on what was received but not yet moved: a destroyed stream would emit none of it. */
  flush(): void {
    this.#source.off('data', sourceOnData)
    this.#handOn()
    this.stop()
  }

  #handOn(): void {
    for (let chunk = this.#source.read(); chunk !== null; chunk = this.#source.read()) this.take(chunk)
  }
}
