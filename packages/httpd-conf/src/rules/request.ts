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

/** The names of a server, if UseCanonicalName is On. */
export interface CanonicalName {
  readonly name: string
  /** `undefined` for the usual port of the scheme. */
  readonly port: number | undefined
}

const canonicalNames = new WeakMap<IncomingMessage, CanonicalName>()

/** Uses the name of the server instead of the Host of the request (UseCanonicalName On). */
export function useCanonicalName(req: IncomingMessage, name: CanonicalName): void {
  canonicalNames.set(req, name)
}

/** The name of the server as a client sees it, and its port. httpd: ap_get_server_name, ap_get_server_port. */
export function ownName(req: IncomingMessage): { name: string; port: string } {
  const usual = isTls(req) ? '443' : '80'
  const canonical = canonicalNames.get(req)
  if (canonical !== undefined) return { name: canonical.name, port: String(canonical.port ?? usual) }
  const [, host = '', port = usual] = /^(.*?)(?::(\d*))?$/s.exec(fieldOf(req, 'host') ?? '') ?? []
  return { name: host.toLowerCase(), port: port === '' ? usual : port }
}

const roots = new WeakMap<IncomingMessage, string>()

/** Keeps the DocumentRoot of the server that serves a request. */
export function keepDocumentRoot(req: IncomingMessage, root: string): void {
  roots.set(req, root)
}

/** DocumentRoot. */
export const documentRootOf = (req: IncomingMessage): string => roots.get(req) ?? ''

/** Scheme, host and port of the request. httpd: ap_construct_url. */
export function ownOrigin(req: IncomingMessage): string {
  const [scheme, usual] = isTls(req) ? ['https', '443'] : ['http', '80']
  const { name, port } = ownName(req)
  return `${scheme}://${name}${port === usual ? '' : `:${port}`}`
}

/** Whether the client is connected over TLS. */
export const isTls = (req: IncomingMessage): boolean => 'encrypted' in req.socket
