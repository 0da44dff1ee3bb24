import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { readDirectly } from './direct-read.ts'
import { isEncrypted, isPlain } from './onread.ts'
import { isProbed, PausedProbe } from './paused-probe.ts'
import type { BytesTaker, SocketReader } from './socket-reader.ts'

/**
 * Keys under which a stream refers to the pump that reads it and the pump that writes it. All streams share the
 * listeners below, because closures for each stream would be most of the memory of an idle tunnel.
 */
const FROM = Symbol('ws-tunnel.from')
const INTO = Symbol('ws-tunnel.into')

interface Pumped {
  [FROM]?: Pump | undefined
  [INTO]?: Pump | undefined
}

function sourceOnData(this: Duplex & Pumped, chunk: Buffer): void {
  this[FROM]?.take(chunk)
}

function sourceOnEnd(this: Duplex & Pumped): void {
  this[FROM]?.end()
}

function sinkOnDrain(this: Duplex & Pumped): void {
  this[INTO]?.resume()
}

/** What the bytes of a pump are followed by. */
export interface ByteFollower {
  pass(bytes: Buffer): void
}

export interface PumpOwner {
  /** The source has sent its FIN. Called before the FIN is passed on. */
  onSourceEnd(source: Duplex): void
}

/**
 * Moves bytes from one socket to another until the FIN of the source, and passes the FIN on. It reads the source only
 * while the sink accepts bytes, so only the buffers of the two sockets hold bytes that wait. httpd:
 * ap_proxy_transfer_between_connections.
 */
export class Pump implements BytesTaker {
  /** Bytes that were moved. */
  bytes = 0
  /** When the last byte was moved, on the clock of `performance`. */
  activeAt: number = performance.now()
  readonly #source: Duplex & Pumped
  readonly #sink: Duplex & Pumped
  readonly #owner: PumpOwner | undefined
  /** Whether the sink is a TLS socket. */
  readonly #encrypts: boolean
  /** `undefined` if the source emits `data`. */
  #reader: SocketReader | undefined
  #probe: PausedProbe | undefined
  readonly #follower: ByteFollower | undefined
  #stopped = false

  /**
   * @param first bytes that were received before, in order
   * @param follower gets all bytes that are moved
   */
  constructor(source: Duplex, sink: Duplex, first: readonly Buffer[], owner?: PumpOwner, follower?: ByteFollower) {
    this.#source = source
    this.#sink = sink
    this.#owner = owner
    this.#follower = follower
    this.#encrypts = isEncrypted(sink)
    this.#source[FROM] = this
    this.#sink[INTO] = this
    source.on('end', sourceOnEnd)
    sink.on('drain', sinkOnDrain)
    for (const chunk of first) if (chunk.length > 0) this.take(chunk)
    this.#takeUnread()
    // Another kind of sink may still use a buffer that it reports as written. Such a buffer must not be used for another
    // read.
    if (this.#encrypts || isPlain(sink)) this.#reader = readDirectly(source, this)
    if (this.#reader === undefined) source.on('data', sourceOnData)
    if (!sink.writableNeedDrain) source.resume()
  }

  /** Takes bytes of the source. @returns whether the sink still uses them. */
  take(chunk: Buffer): boolean {
    if (this.#stopped) return false
    this.bytes += chunk.length
    this.activeAt = performance.now()
    this.#follower?.pass(chunk)
    const sink = this.#sink
    if (!sink.writable) return false
    const waited = sink.writableLength > 0
    if (!waited) this.#reader?.returnBuffers()
    // A TLS socket encrypts bytes or copies them in its own write. It uses only bytes that have to wait for that.
    const usesLater = this.#encrypts && (waited || sink.writableCorked > 0 || isProbed(sink))
    const full = !sink.write(chunk)
    const waits = sink.writableLength > 0
    // For a write of at least the high-water mark, Node returns false even if the kernel has taken all bytes at once.
    if (full && waits) {
      this.#source.pause()
      this.#probe ??= new PausedProbe(this.#source)
      this.#probe.start()
    }
    return this.#encrypts ? usesLater : waits
  }

  resume(): void {
    if (this.#sink.writableLength === 0) this.#reader?.returnBuffers()
    if (this.#source.isPaused()) this.#source.resume()
  }

  end(): void {
    this.#reader?.handOn()
    this.#owner?.onSourceEnd(this.#source)
    this.#sink.end()
  }

  /** Stops. Bytes that were received but not moved stay in the source. */
  stop(): void {
    this.#probe?.stop()
    this.#reader?.close()
    this.#stopped = true
    this.#source.off('data', sourceOnData)
    this.#source.off('end', sourceOnEnd)
    this.#sink.off('drain', sinkOnDrain)
  }

  /** Moves what was received, then stops. A destroyed stream would not emit these bytes. */
  flush(): void {
    this.#source.off('data', sourceOnData)
    this.#reader?.handOn()
    this.#takeUnread()
    this.stop()
  }

  #takeUnread(): void {
    for (let chunk = this.#source.read(); chunk !== null; chunk = this.#source.read()) this.take(chunk)
  }
}
