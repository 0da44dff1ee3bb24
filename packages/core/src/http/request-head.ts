import type { HeaderList } from './header-list.ts'
import { TOKEN } from './token.ts'

/** The head of a request without body, for a backend. */
export interface RequestHead {
  readonly method: string
  /** The exact bytes of the request target. */
  readonly path: string
  /** Name, value, name, value. */
  readonly headers: readonly string[]
}

const TARGET = /^[\x21-\xff]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * The bytes, as latin1, that `http.request` writes for a GET. `undefined` where `http.request` would refuse the request
 * or add header fields.
 */
export function requestHead({ method, path, headers }: RequestHead): string | undefined {
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

/**
 * The head of a request for a kept connection, as latin1.
 *
 * @param options of `Connection`, beside `keep-alive`
 * @throws {TypeError} for a value that would end its line.
 */
export function keptRequestHead(method: string, path: string, headers: HeaderList, options: string): string {
  const { raw } = headers
  // The list is joined once: with `+=`, each field would make several strings that are collected later.
  const parts = [method, ' ', path, ' HTTP/1.1\r\n']
  for (let i = 0; i < raw.length; i += 2) {
    const value = raw[i + 1] as string
    if (!VALUE.test(value)) throw new TypeError(`Invalid character in the value of ${JSON.stringify(raw[i])}`)
    parts.push(raw[i] as string, ': ', value, '\r\n')
  }
  parts.push('Connection: ', options, 'keep-alive\r\n\r\n')
  return parts.join('')
}
