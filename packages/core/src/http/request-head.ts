import { TOKEN } from './token.ts'

/** A request without body, for a backend. */
export interface Ask {
  readonly method: string
  /** The very bytes of the request target. */
  readonly path: string
  /** Name, value, name, value. */
  readonly headers: readonly string[]
}

const TARGET = /^[\x21-\xff]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * The bytes, as latin1, that `http.request` writes for a GET; `undefined` where it would refuse, or add fields of its own.
 */
export function requestHead({ method, path, headers }: Ask): string | undefined {
  if (method !== 'GET' || !TARGET.test(path)) return undefined
  let connection = false
  let head = `GET ${path} HTTP/1.1\r\n`
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string
    const value = headers[i + 1] as string
    if (!TOKEN.test(name) || !VALUE.test(value)) return undefined
    connection ||= name.length === 10 && name.toLowerCase() === 'connection'
    head += `${name}: ${value}\r\n`
  }
  return connection ? `${head}\r\n` : undefined
}
