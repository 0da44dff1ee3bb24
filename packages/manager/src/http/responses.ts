import type { ServerResponse } from 'node:http'

/** With these fields a browser loads nothing from other origins, stores nothing, and shows the page in no frame. */
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
    // Only lit-html may create markup from text, because its templates are constant.
    'trusted-types lit-html',
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

/** Sets the status and the headers that every response carries, and `headers`. */
export function writeHead(
  res: ServerResponse,
  statusCode: number,
  headers: Readonly<Record<string, string | number>>,
): void {
  res.statusCode = statusCode
  for (const [name, value] of Object.entries({ ...HEADERS, ...headers })) res.setHeader(name, value)
}

/** Sends a whole response. Node leaves out the body if the request is a HEAD. */
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
