import type { IncomingMessage } from 'node:http'
import { type RequestShape, simulatedRequest } from '../../packages/core/src/http/simulated-request.ts'

export type { RequestShape }

/** A request as Node's parser creates it, from the lines of its header fields and without a connection. */
export function requestOf(lines: readonly string[], shape: RequestShape = {}): IncomingMessage {
  const rawHeaders = lines.flatMap(line => {
    // The search starts at 1 because the pseudo-fields of HTTP/2 begin with a colon.
    const colon = line.indexOf(':', 1)
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
  })
  return simulatedRequest({ ...shape, rawHeaders })
}
