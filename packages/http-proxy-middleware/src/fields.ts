import type { HeaderList } from '@ws-tunnel/core/engine'

/** Header fields as `http.request` takes them in an object. A field with several lines has a list. */
export type FieldsObject = Record<string, string | string[]>

const TRANSFER_ENCODING = 'transfer-encoding'

/** Methods for which httpxy adds `Content-Length: 0` if it sees no framing. It looks for names in lower case. */
const isLengthAdded = (method: string): boolean => method === 'DELETE' || method === 'OPTIONS'

/**
 * Puts header fields into an object, in the spelling of the first line of each. `Transfer-Encoding` is left out, because
 * httpxy would close the connection after the response of a request that has it.
 */
export function fieldsObject(headers: HeaderList, method: string): FieldsObject {
  const fields: FieldsObject = {}
  // A bit for each length of a name: two names of different lengths are not the same.
  let lengths = 0
  for (const [name, value] of headers) {
    const bit = 1 << (name.length & 31)
    const known = (lengths & bit) === 0 ? undefined : sameName(fields, name)
    lengths |= bit
    if (known !== undefined) fields[known] = [fields[known] as string | string[], value].flat()
    else if (name.length === TRANSFER_ENCODING.length && name.toLowerCase() === TRANSFER_ENCODING) continue
    // An assignment to this name would not make a field.
    else if (name === '__proto__') Object.defineProperty(fields, name, { value, enumerable: true, writable: true })
    else fields[name] = value
    if (name.length === 2 && name.toLowerCase() === 'te') fields['Connection'] = 'TE, keep-alive'
  }
  // It is not enumerable, so that httpxy sees it and does not send it.
  if (isLengthAdded(method)) Object.defineProperty(fields, TRANSFER_ENCODING, { value: 'chunked' })
  return fields
}

function sameName(fields: FieldsObject, name: string): string | undefined {
  const lower = name.toLowerCase()
  for (const each of Object.keys(fields)) if (each.length === name.length && each.toLowerCase() === lower) return each
  return undefined
}

/** A copy of the fields of a message, to compare them with later. */
export function copyOf(headers: NodeJS.Dict<string | string[]>): NodeJS.Dict<string | string[]> {
  const copy = { ...headers }
  if (Array.isArray(copy['set-cookie'])) copy['set-cookie'] = [...copy['set-cookie']]
  return copy
}

/** The lines of a field value. */
export const linesOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter(line => line !== undefined && line !== null).map(String)

const isSame = (a: unknown, b: unknown): boolean =>
  a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((line, i) => line === b[i]))

/**
 * The raw fields of a message with what has changed in its `headers`: changed fields keep their place, new ones come last.
 *
 * @param before a copy of `headers` from before the change
 */
export function editedFields(
  raw: readonly string[],
  before: NodeJS.Dict<string | string[]>,
  headers: NodeJS.Dict<unknown>,
): string[] | undefined {
  const changed = new Map<string, string[]>()
  for (const name of Object.keys(before))
    if (!isSame(before[name], headers[name])) changed.set(name, linesOf(headers[name]))
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase()
    if (!Object.hasOwn(before, name)) changed.set(lower, linesOf(headers[name]))
  }
  if (changed.size === 0) return undefined
  const edited: string[] = []
  const append = (name: string, lower: string): void => {
    for (const line of changed.get(lower) ?? []) edited.push(name, line)
    changed.set(lower, [])
  }
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const lower = name.toLowerCase()
    if (changed.has(lower)) append(name, lower)
    else edited.push(name, raw[i + 1] as string)
  }
  for (const name of changed.keys()) append(name, name)
  return edited
}
