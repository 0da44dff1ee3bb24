import type { IncomingMessage } from 'node:http'
import { requestField } from '@ws-tunnel/core'

/**
 * All lines of a header field, joined as httpd joins them; `undefined` if the request has none. What the app has changed in
 * `req.headers` counts.
 */
export const fieldOf: (req: IncomingMessage, name: string) => string | undefined = requestField

/** The header lines as the client sent them. */
export function* fieldLinesOf({ rawHeaders }: IncomingMessage): Generator<[name: string, value: string]> {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) yield [rawHeaders[i] as string, rawHeaders[i + 1] as string]
}

/** Whether the client is connected over TLS. */
export const isTls = (req: IncomingMessage): boolean => 'encrypted' in req.socket
