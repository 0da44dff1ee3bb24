import type { Duplex } from 'node:stream'

/** One direction of a tunnel. */
export interface Pump {
  /** Stops, and hands on what was received but not yet moved: a destroyed stream would emit none of it. */
  flush(): void
}

/**
 * Moves bytes from one socket to another until the source's FIN, which it passes on. The source is read only while the
 * sink takes what it gets, so no more than their buffers hold waits in between. httpd:
 * ap_proxy_transfer_between_connections.
 *
 * @param first bytes that were received before the pump, in order
 */
export function pump(source: Duplex, sink: Duplex, first: readonly Buffer[], moved: (bytes: number) => void): Pump {
  function sourceOnData(chunk: Buffer): void {
    moved(chunk.length)
    if (sink.writable && !sink.write(chunk)) source.pause()
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
      source.off('data', sourceOnData)
      source.off('end', sourceOnEnd)
      sink.off('drain', sinkOnDrain)
      for (let chunk = source.read(); chunk !== null; chunk = source.read()) sourceOnData(chunk)
    },
  }
}
