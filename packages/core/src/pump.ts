import type { Duplex } from 'node:stream'

/** One direction of a tunnel. */
export interface Pump {
  /** Stops, and hands on what was received but not yet moved: a destroyed stream would emit none of it. */
  flush(): void
}

/** How often a source that is not read is asked whether its peer is still there, ms. */
const PROBE_INTERVAL = 300

const NOTHING = Buffer.alloc(0)

/**
 * Moves bytes from one socket to another until the source's FIN, which it passes on. The source is read only while the
 * sink takes what it gets, so no more than their buffers hold waits in between. httpd:
 * ap_proxy_transfer_between_connections.
 *
 * @param first bytes that were received before the pump, in order
 */
export function pump(source: Duplex, sink: Duplex, first: readonly Buffer[], moved: (bytes: number) => void): Pump {
  let probeTimer: NodeJS.Timeout | undefined

  function sourceOnData(chunk: Buffer): void {
    moved(chunk.length)
    if (!sink.writable || sink.write(chunk)) return
    source.pause()
    probeTimer ??= setTimeout(probe, PROBE_INTERVAL)
  }
  // Node hears no RST on a socket that it does not read; a write of no bytes sends nothing and fails on a reset one.
  function probe(): void {
    probeTimer = undefined
    if (!source.isPaused() || source.destroyed) return
    if (source.writable && source.writableLength === 0) source.write(NOTHING)
    probeTimer = setTimeout(probe, PROBE_INTERVAL)
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
  return {
    flush: () => {
      clearTimeout(probeTimer)
      probeTimer = undefined
      source.off('data', sourceOnData)
      source.off('end', sourceOnEnd)
      sink.off('drain', sinkOnDrain)
      for (let chunk = source.read(); chunk !== null; chunk = source.read()) {
        moved(chunk.length)
        if (sink.writable) sink.write(chunk)
      }
    },
  }
}
