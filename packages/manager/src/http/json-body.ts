import type { IncomingMessage } from 'node:http'
import { Refusal } from '../util/refusal.ts'

/** Longest body of a change, in bytes. */
const MAX_BODY = 65_536

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
