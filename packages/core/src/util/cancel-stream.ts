import { constants, type Http2Stream } from 'node:http2'

/**
 * Resets a stream with CANCEL, outside the events of its session. Node 22 and 26 abort the process if a listener of such an event
 * cancels a stream that waits for trailers: Node puts the reset off, and asks a destroyed stream for its trailers.
 */
export function cancelStream(stream: Http2Stream): void {
  setImmediate(() => {
    if (!stream.closed && !stream.destroyed) stream.close(constants.NGHTTP2_CANCEL)
  })
}
