import type { IncomingMessage, ServerResponse } from 'node:http'

/** Longest body of a change, in bytes. */
const MAX_BODY = 65_536

/** Nothing comes from elsewhere, nothing is kept, and no page may hold ours in a frame. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store, no-transform',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

/** An answer to a request that asks for what cannot be. */
export class Refusal extends Error {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>

  constructor(statusCode: number, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.statusCode = statusCode
    this.headers = headers
  }
}

/** Writes the head with what every answer of ours carries. */
export function writeHead(
  res: ServerResponse,
  statusCode: number,
  headers: Readonly<Record<string, string | number>>,
): void {
  res.statusCode = statusCode
  for (const [name, value] of Object.entries({ ...HEADERS, ...headers })) res.setHeader(name, value)
}

/** A whole answer; a HEAD gets it without the body. */
export function send(
  res: ServerResponse,
  statusCode: number,
  type: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  writeHead(res, statusCode, { ...headers, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) })
  res.end(body)
}

export function sendJson(
  res: ServerResponse,
  statusCode: number,
  value: unknown,
  headers?: Record<string, string>,
): void {
  send(res, statusCode, 'application/json; charset=utf-8', `${JSON.stringify(value)}\n`, headers)
}

export function sendText(
  res: ServerResponse,
  statusCode: number,
  text: string,
  headers?: Record<string, string>,
): void {
  send(res, statusCode, 'text/plain; charset=utf-8', `${text}\n`, headers)
}

/**
 * The JSON object of a body, which middleware may have parsed already.
 *
 * @throws {Refusal} 415, 413 or 400 for what is none.
 */
export async function readJson(req: IncomingMessage & { body?: unknown }): Promise<Record<string, unknown>> {
  const [type] = (req.headers['content-type'] ?? '').split(';', 1) as [string]
  if (type.trim().toLowerCase() !== 'application/json')
    throw new Refusal(415, 'Expected a body of the type application/json')
  const value = req.readableEnded && req.body !== undefined ? req.body : parse(await readBody(req))
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal(400, 'Expected the body to be a JSON object')
  return value as Record<string, unknown>
}

async function readBody(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    // The socket must outlive a body that is left unread: the answer goes out on it.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_BODY) throw new Refusal(413, `Expected a body of at most ${MAX_BODY} bytes`)
      chunks.push(chunk)
    }
  } finally {
    // Node reads on over what nobody has begun to read alone; the next request stands behind it.
    req.resume()
  }
  return Buffer.concat(chunks).toString()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(400, 'Expected the body to be JSON')
  }
}
