const NOTHING = Buffer.alloc(0)

/** What comes next in the chunked coding. */
type Expected = 'size' | 'data' | 'end of data' | 'trailers' | 'nothing'

/** Undoes the chunked coding of a body that Node has written (RFC 9112 7.1). */
export class ChunkedBody {
  #expected: Expected = 'size'
  #line = ''
  #left = 0
  #trailers: string[] = []
  /** The trailer fields, once the body is complete. */
  rawTrailers: readonly string[] | undefined

  /**
   * Takes the next bytes of the coding.
   *
   * @returns the bytes of the body in them.
   * @throws {Error} for bytes that are not of the coding.
   */
  take(bytes: Buffer): Buffer {
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      if (this.#expected === 'data') {
        const part = bytes.subarray(at, at + this.#left)
        parts.push(part)
        at += part.length
        this.#left -= part.length
        if (this.#left === 0) this.#expected = 'end of data'
        continue
      }
      const end = bytes.indexOf(0x0a, at)
      const stop = end === -1 ? bytes.length : end + 1
      this.#line += bytes.toString('latin1', at, stop)
      at = stop
      if (end !== -1) this.#takeLine()
    }
    return parts.length === 1 ? (parts[0] as Buffer) : parts.length === 0 ? NOTHING : Buffer.concat(parts)
  }

  #takeLine(): void {
    const line = this.#line.replace(/\r?\n$/, '')
    this.#line = ''
    if (this.#expected === 'end of data' && line === '') this.#expected = 'size'
    else if (this.#expected === 'size' && /^[0-9a-f]{1,12}$/i.test(line)) {
      this.#left = Number.parseInt(line, 16)
      this.#expected = this.#left === 0 ? 'trailers' : 'data'
    } else if (this.#expected === 'trailers') this.#takeTrailer(line)
    else throw new Error(`the chunked coding of the response is wrong: ${JSON.stringify(line.slice(0, 40))}`)
  }

  #takeTrailer(line: string): void {
    const colon = line.indexOf(':')
    if (colon > 0) this.#trailers.push(line.slice(0, colon), line.slice(colon + 1).trim())
    if (line !== '') return
    this.rawTrailers = this.#trailers
    this.#expected = 'nothing'
  }
}
