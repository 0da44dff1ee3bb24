import type { IncomingMessage } from 'node:http'
import { Refusal } from '../util/refusal.ts'

/** Longest body of a change, in bytes. */
const MAX_BODY = 65_536

/**
 * Reads the JSON object in a body, which middleware may have parsed already.
 *
 * @throws {Refusal} 415 for another type, 413 for a body that is too long, 400 for one that is not a JSON object.
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
    // The socket stays open even if a part of the body is unread, because the response is sent on it.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_BODY) throw new Refusal(413, `Expected a body of at most ${MAX_BODY} bytes`)
      chunks.push(chunk)
    }
  } finally {
    // Node itself discards a body only if no read of it has begun. The next request on the connection follows the body.
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
