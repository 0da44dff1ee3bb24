import { trimBlanks } from './trim-blanks.ts'

/** Whether a name equals the lower-case one. Most names differ in length already, which saves the conversion. */
const isNamed = (name: string, lower: string): boolean => name.length === lower.length && name.toLowerCase() === lower

/**
 * Header fields with their order, case and duplicates as they arrived (RFC 9110 5.3). Names are compared without case.
 */
export class HeaderList {
  #fields: [name: string, value: string][] = []

  /**
   * Reads Node's `rawHeaders` (name, value, name, value), or those fields of it whose lower-case name passes `keep`.
   */
  static from(raw: readonly string[], keep?: (lowerName: string) => boolean): HeaderList {
    const list = new HeaderList()
    list.#add(raw, keep)
    return list
  }

  #add(raw: readonly string[], keep: ((lowerName: string) => boolean) | undefined): void {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i] as string
      if (keep === undefined || keep(name.toLowerCase())) this.#fields.push([name, raw[i + 1] as string])
    }
  }

  /** The value of every line of the field. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase()
    const values: string[] = []
    for (const field of this.#fields) if (isNamed(field[0], lower)) values.push(field[1])
    return values
  }

  /** The values of all lines joined by `, `, or `undefined` if the field is absent. */
  get(name: string): string | undefined {
    const values = this.getAll(name)
    return values.length === 0 ? undefined : values.join(', ')
  }

  has(name: string): boolean {
    const lower = name.toLowerCase()
    return this.#fields.some(field => isNamed(field[0], lower))
  }

  /** Replaces the first line of the field and removes its other lines. Appends the field if it is absent. */
  set(name: string, value: string): this {
    const lower = name.toLowerCase()
    const at = this.#fields.findIndex(field => isNamed(field[0], lower))
    if (at === -1) return this.append(name, value)
    this.#fields = this.#fields.filter((field, i) => i === at || !isNamed(field[0], lower))
    this.#fields[at] = [name, value]
    return this
  }

  append(name: string, value: string): this {
    this.#fields.push([name, value])
    return this
  }

  /** Appends those fields of Node's `rawHeaders` whose lower-case name passes `keep`. */
  appendRaw(raw: readonly string[], keep: (lowerName: string) => boolean): this {
    this.#add(raw, keep)
    return this
  }

  unset(name: string): this {
    const lower = name.toLowerCase()
    if (this.has(lower)) this.#fields = this.#fields.filter(field => !isNamed(field[0], lower))
    return this
  }

  /** Removes the fields that do not pass `keep`. */
  filter(keep: (lowerName: string, value: string) => boolean): this {
    this.#fields = this.#fields.filter(([name, value]) => keep(name.toLowerCase(), value))
    return this
  }

  /** Replaces each value by what `change` returns for it. */
  map(change: (lowerName: string, value: string) => string): this {
    for (const field of this.#fields) field[1] = change(field[0].toLowerCase(), field[1])
    return this
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.#fields[Symbol.iterator]()
  }

  /** Name, value, name, value: the form in which `writeHead` and `http.request` keep order and duplicates. */
  toRaw(): string[] {
    const raw: string[] = []
    for (const field of this.#fields) raw.push(field[0], field[1])
    return raw
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
  return headerLines(message, name).join(', ')
}

/** The value of every line of a field. */
export function headerLines({ rawHeaders }: MessageHead, name: string): string[] {
  const lower = name.toLowerCase()
  const lines: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (isNamed(rawHeaders[i] as string, lower)) lines.push(rawHeaders[i + 1] as string)
  }
  return lines
}

/** The members of a comma-separated list, without the empty ones (RFC 9110 5.6.1). */
export function listMembers(values: readonly string[]): string[] {
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

/** A test for end-to-end fields: those that are neither hop-by-hop nor named by these lines of `Connection`. */
export function endToEndFilter(connection: readonly string[]): (lowerName: string) => boolean {
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
