import type { IncomingMessage } from 'node:http'

/** The path and query of a request after the rules of the server. */
export interface RequestPath {
  /** Decoded. */
  readonly path: string
  /** The path before the rules of the server. */
  readonly before: string
  /** Without `?`; `undefined` for none. */
  readonly args: string | undefined
}

const known = new WeakMap<IncomingMessage, RequestPath>()

/** Keeps the path and the query that sections and expressions see. */
export function keepPath(req: IncomingMessage, path: RequestPath): void {
  known.set(req, path)
}

/** The path as the client wrote it. */
export const rawPath = (req: IncomingMessage): string =>
  (req.url ?? '/').replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/\?.*$/s, '') || '/'

/** Path and query: as {@link keepPath} got them, else as the client wrote them. */
export function pathOf(req: IncomingMessage): RequestPath {
  const path = rawPath(req)
  return known.get(req) ?? { path, before: path, args: /\?(.*)$/s.exec(req.url ?? '')?.[1] }
}
