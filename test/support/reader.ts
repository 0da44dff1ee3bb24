import type { Socket } from 'node:net'

/** Header fields in their order and case, with duplicates. */
export type RawHeaders = [name: string, value: string][]

/** The head of a message: the start line, the fields, and the bytes. */
export interface Head {
  startLine: string
  rawHeaders: RawHeaders
  raw: string
  /** All values of a field, joined by `, `; undefined without one. */
  header: (name: string) => string | undefined
  /** The values of a field, line by line. */
  headers: (name: string) => string[]
}

/** How long a read waits before it fails, ms; 0 is without limit. A silent peer fails the test and does not hang it. */
const READ_TIMEOUT = 5_000

/** Reads from a socket in order: heads, bodies by their framing, exact numbers of bytes, or everything until FIN. */
export class Reader {
  readonly socket: Socket
  /** Whether the peer sent its FIN. */
  ended = false
  error: NodeJS.ErrnoException | undefined
  /** How many bytes arrived in all. */
  total = 0
  #chunks: Buffer[] = []
  #waiting: (() => void)[] = []
  #onData: (chunk: Buffer) => void

  constructor(socket: Socket) {
    this.socket = socket
    this.#onData = chunk => {
      this.total += chunk.length
      this.#chunks.push(chunk)
      this.#wake()
    }
    socket.on('data', this.#onData)
    socket.on('end', () => {
      this.ended = true
      this.#wake()
    })
    socket.on('error', error => {
      this.error = error
      this.#wake()
    })
    socket.on('close', () => this.#wake())
  }

  /** The bytes that arrived and were not read yet. */
  get pending(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #take(n: number): Buffer {
    const all = this.pending
    this.#chunks = n < all.length ? [all.subarray(n)] : []
    return all.subarray(0, n)
  }

  /** Waits until `ready` returns a value. Fails with the pending bytes if the socket ends, fails or is silent before. */
  async #until<T>(what: string, ready: () => T | undefined, atEnd?: () => T, timeout = READ_TIMEOUT): Promise<T> {
    const silent = new Error(`waited ${timeout} ms for ${what}`)
    let late = false
    const timerOnEnd = (): void => {
      late = true
      this.#wake()
    }
    const timer = timeout === 0 ? undefined : setTimeout(timerOnEnd, timeout)
    try {
      for (;;) {
        const value = ready()
        if (value !== undefined) return value
        if (this.ended && atEnd !== undefined) return atEnd()
        if (this.ended || this.socket.destroyed || late) {
          const why = late ? silent.message : this.error === undefined ? 'the peer ended' : String(this.error)
          throw new Error(
            `no ${what}: ${why}; pending: ${JSON.stringify(this.pending.toString('latin1').slice(0, 500))}`,
            {
              cause: this.error ?? silent,
            },
          )
        }
        await new Promise<void>(resolve => this.#waiting.push(resolve))
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** The bytes up to the end of `mark`. */
  async readThrough(mark: string, timeout?: number): Promise<Buffer> {
    const ready = (): Buffer | undefined => {
      const at = this.pending.indexOf(mark)
      return at < 0 ? undefined : this.#take(at + mark.length)
    }
    return this.#until(JSON.stringify(mark), ready, undefined, timeout)
  }

  async readHead(timeout?: number): Promise<Head> {
    const raw = (await this.readThrough('\r\n\r\n', timeout)).toString('latin1')
    const [startLine = '', ...lines] = raw.slice(0, -4).split('\r\n')
    const rawHeaders = lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
    const headers = (name: string): string[] =>
      rawHeaders.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value)
    return {
      startLine,
      rawHeaders,
      raw,
      headers,
      header: name => (headers(name).length === 0 ? undefined : headers(name).join(', ')),
    }
  }

  /** Exactly `n` bytes. */
  async readExact(n: number): Promise<Buffer> {
    return this.#until(`${n} bytes`, () => (this.pending.length >= n ? this.#take(n) : undefined))
  }

  /** Everything until the peer's FIN. */
  async readAll(): Promise<Buffer> {
    return this.#until(
      'FIN',
      () => undefined,
      () => this.#take(this.pending.length),
    )
  }

  async readChunked(): Promise<{ body: Buffer; trailers: string }> {
    const parts: Buffer[] = []
    for (;;) {
      const size = Number.parseInt((await this.readThrough('\r\n')).toString('latin1'), 16)
      if (Number.isNaN(size)) throw new Error('broken chunked framing')
      if (size === 0) break
      parts.push(await this.readExact(size))
      if ((await this.readExact(2)).toString('latin1') !== '\r\n') throw new Error('broken chunked framing')
    }
    let trailers = ''
    for (;;) {
      const line = (await this.readThrough('\r\n')).toString('latin1')
      if (line === '\r\n') return { body: Buffer.concat(parts), trailers }
      trailers += line
    }
  }

  /** A body by its framing. Without length and chunks there is none, or it lasts until FIN if `untilEnd`. */
  async readBody(head: Head, untilEnd: boolean): Promise<Buffer> {
    if (/\bchunked\b/i.test(head.header('transfer-encoding') ?? '')) return (await this.readChunked()).body
    const length = head.header('content-length')
    if (length !== undefined) return this.readExact(Number(length))
    return untilEnd ? this.readAll() : Buffer.alloc(0)
  }

  /** Stops reading. @returns the socket, with the bytes that were not read yet, for other code to read. */
  release(): Socket {
    this.socket.off('data', this.#onData)
    this.socket.pause()
    const rest = this.#take(this.pending.length)
    if (rest.length > 0) this.socket.unshift(rest)
    return this.socket
  }
}
