import { trimBlanks } from './trim-blanks.ts'

/** Whether a name equals the lower-case one. Most names differ in length or first letter, which saves the conversion. */
const isNamed = (name: string, lower: string): boolean =>
  name.length === lower.length &&
  (name.charCodeAt(0) | 0x20) === (lower.charCodeAt(0) | 0x20) &&
  (name === lower || name.toLowerCase() === lower)

/**
 * Header fields with their order, case and duplicates as they arrived (RFC 9110 5.3). Names are compared without case.
 */
export class HeaderList {
  /** Name, value, name, value. */
  #raw: string[] = []

  /**
   * Reads Node's `rawHeaders` (name, value, name, value), or those fields of it whose lower-case name passes `keep`.
   */
  static from(raw: readonly string[], keep?: (lowerName: string) => boolean): HeaderList {
    const list = new HeaderList()
    if (keep === undefined) list.#raw = raw.length % 2 === 0 ? raw.slice() : raw.slice(0, -1)
    else list.appendRaw(raw, keep)
    return list
  }

  /** The value of every line of the field. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase()
    const values: string[] = []
    const raw = this.#raw
    for (let i = 0; i < raw.length; i += 2) if (isNamed(raw[i] as string, lower)) values.push(raw[i + 1] as string)
    return values
  }

  /** The values of all lines joined by `, `, or `undefined` if the field is absent. */
  get(name: string): string | undefined {
    const lower = name.toLowerCase()
    const at = this.#indexOf(lower)
    if (at === -1) return undefined
    return this.#indexOf(lower, at + 2) === -1 ? this.#raw[at + 1] : this.getAll(lower).join(', ')
  }

  /** Whether there is a line of the field. */
  has(name: string): boolean {
    return this.#indexOf(name.toLowerCase()) !== -1
  }

  #indexOf(lower: string, from = 0): number {
    const raw = this.#raw
    for (let i = from; i < raw.length; i += 2) if (isNamed(raw[i] as string, lower)) return i
    return -1
  }

  /** Replaces the first line of the field and removes its other lines. Appends the field if it is absent. */
  set(name: string, value: string): this {
    const lower = name.toLowerCase()
    const at = this.#indexOf(lower)
    if (at === -1) return this.append(name, value)
    if (this.#indexOf(lower, at + 2) !== -1) this.#keep((field, i) => i === at || !isNamed(field, lower))
    this.#raw[at] = name
    this.#raw[at + 1] = value
    return this
  }

  /** Adds a line behind the others. */
  append(name: string, value: string): this {
    this.#raw.push(name, value)
    return this
  }

  /** Appends those fields of Node's `rawHeaders` whose lower-case name passes `keep`. */
  appendRaw(raw: readonly string[], keep: (lowerName: string) => boolean): this {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i] as string
      if (keep(name.toLowerCase())) this.#raw.push(name, raw[i + 1] as string)
    }
    return this
  }

  /** Removes all lines of the field. */
  unset(name: string): this {
    const lower = name.toLowerCase()
    if (this.#indexOf(lower) !== -1) this.#keep(field => !isNamed(field, lower))
    return this
  }

  /** Removes the fields that do not pass `keep`. */
  filter(keep: (lowerName: string, value: string) => boolean): this {
    this.#keep((name, _i, value) => keep(name.toLowerCase(), value))
    return this
  }

  #keep(keep: (name: string, index: number, value: string) => boolean): void {
    const raw = this.#raw
    this.#raw = []
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] as string
      const value = raw[i + 1] as string
      if (keep(name, i, value)) this.#raw.push(name, value)
    }
  }

  /** Replaces each value by what `change` returns for it. */
  map(change: (lowerName: string, value: string) => string): this {
    const raw = this.#raw
    for (let i = 0; i < raw.length; i += 2) raw[i + 1] = change((raw[i] as string).toLowerCase(), raw[i + 1] as string)
    return this
  }

  /** The lines in their order. */
  *[Symbol.iterator](): Iterator<[name: string, value: string]> {
    const raw = this.#raw
    for (let i = 0; i < raw.length; i += 2) yield [raw[i] as string, raw[i + 1] as string]
  }

  /** As {@link toRaw}, without a copy: it shows later changes, and must not be changed. */
  get raw(): readonly string[] {
    return this.#raw
  }

  /** Name, value, name, value: the form in which `writeHead` and `http.request` keep order and duplicates. */
  toRaw(): string[] {
    return this.#raw.slice()
  }
}

/** The header fields of a request or response as Node gives them: name, value, name, value. */
export interface MessageHead {
  readonly rawHeaders: readonly string[]
}

/** The header lines of a request, as the client sent them. */
export const requestHeaders = ({ rawHeaders }: MessageHead): HeaderList => HeaderList.from(rawHeaders)

/** The value of a field, its lines joined by `, ` as httpd joins them; `''` if the field is absent. */
export function headerValue(message: MessageHead, name: string): string {
  const lines = headerLines(message, name)
  return lines.length === 0 ? '' : lines.join(', ')
}

/** The value of the first line of a field, or `undefined` if the field is absent. */
export function firstLine({ rawHeaders }: MessageHead, lower: string): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    if (isNamed(rawHeaders[i] as string, lower)) return rawHeaders[i + 1]
  return undefined
}

/** Whether a message has a field. */
export const hasField = (message: MessageHead, lower: string): boolean => firstLine(message, lower) !== undefined

/** The value of every line of a field. */
export function headerLines({ rawHeaders }: MessageHead, name: string): readonly string[] {
  const lower = name.toLowerCase()
  let lines: string[] | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!isNamed(rawHeaders[i] as string, lower)) continue
    if (lines === undefined) lines = [rawHeaders[i + 1] as string]
    else lines.push(rawHeaders[i + 1] as string)
  }
  return lines ?? NONE
}

/** Most fields that are looked for are absent. */
const NONE: readonly string[] = []

/** The members of a comma-separated list, without the empty ones (RFC 9110 5.6.1). */
export function listMembers(values: readonly string[]): readonly string[] {
  if (values.length === 0) return NONE
  const members: string[] = []
  for (const value of values) {
    const parts = value.includes(',') ? value.split(',') : [value]
    for (const part of parts) {
      const member = trimBlanks(part)
      if (member !== '') members.push(member)
    }
  }
  return members
}

/** The hop-by-hop fields of RFC 9110 7.6.1 and of earlier RFCs. They are never forwarded, in either direction. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** Whether a field concerns one connection only, by its lower-case name. */
export const isHopByHop = (lowerName: string): boolean => HOP_BY_HOP.has(lowerName)

const isNotHopByHop = (lowerName: string): boolean => !HOP_BY_HOP.has(lowerName)

/**
 * Fields that a client cannot remove by naming them in `Connection`: those on which a backend bases its decisions, and
 * those that the proxy adds (CVE-2022-31813 and later ones like it).
 */
function isProtected(name: string): boolean {
  return (
    ['host', 'forwarded', 'via', 'authorization', 'cookie', 'origin'].includes(name) ||
    /^(x-forwarded-|sec-websocket-|content-)/.test(name)
  )
}

const namesNoField = (connection: string): boolean => /^(?:keep-alive|close|upgrade)$/i.test(connection)

/** A test for end-to-end fields: those that are neither hop-by-hop nor named by these lines of `Connection`. */
export function endToEndFilter(connection: readonly string[]): (lowerName: string) => boolean {
  if (connection.every(namesNoField)) return isNotHopByHop
  const named = listMembers(connection).map(name => name.toLowerCase())
  return name => !isHopByHop(name) && !(named.includes(name) && !isProtected(name))
}

/** Removes the hop-by-hop fields and those that `Connection` names. httpd: ap_proxy_clear_connection. */
export function removeHopByHop(headers: HeaderList): HeaderList {
  return headers.filter(endToEndFilter(headers.getAll('connection')))
}

/** The end-to-end fields of a request or response. */
export function endToEndHeaders(message: MessageHead): HeaderList {
  return HeaderList.from(message.rawHeaders, endToEndFilter(headerLines(message, 'connection')))
}
