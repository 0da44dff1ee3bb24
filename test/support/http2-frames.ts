import { connect, type Socket } from 'node:net'

/** Frame types of RFC 9113 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** One frame: length, type, flags, stream, payload. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Field lines as HPACK literals without indexing (RFC 7541 6.2.2); names and values are shorter than 127 bytes. */
export function headerBlock(fields: Record<string, string>): Buffer {
  return Buffer.concat(
    Object.entries(fields).map(([name, value]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]),
    ),
  )
}

/** SETTINGS with these values. */
export function settings(values: Record<number, number>): Buffer {
  const payload = Buffer.concat(
    Object.entries(values).map(([id, value]) => {
      const entry = Buffer.alloc(6)
      entry.writeUInt16BE(Number(id), 0)
      entry.writeUInt32BE(value, 2)
      return entry
    }),
  )
  return frame(FRAME.settings, 0, 0, payload)
}

/** A client of HTTP/2 over TCP that sends whatever frames a test wants, and counts what it gets. */
export class FrameClient {
  readonly socket: Socket
  readonly closed: Promise<void>
  /** The number of frames received, by type. */
  readonly received = new Map<number, number>()
  #bytes = Buffer.alloc(0)

  constructor(port: number, values: Record<number, number> = {}) {
    this.socket = connect(port, '127.0.0.1')
    this.closed = new Promise(resolve => this.socket.on('close', () => resolve()))
    this.socket.on('error', () => {})
    this.socket.on('data', chunk => this.#take(chunk))
    this.socket.write(Buffer.concat([Buffer.from(PREFACE), settings(values)]))
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    while (this.#bytes.length >= 9) {
      const size = 9 + this.#bytes.readUIntBE(0, 3)
      if (this.#bytes.length < size) return
      const type = this.#bytes[3] as number
      this.received.set(type, (this.received.get(type) ?? 0) + 1)
      this.#bytes = this.#bytes.subarray(size)
    }
  }

  /** Sends the bytes. @returns whether the connection takes more at once. */
  send(...frames: Buffer[]): boolean {
    return this.socket.writable && this.socket.write(Buffer.concat(frames))
  }

  /** Waits until the bytes have left, or the connection is closed. */
  async flushed(): Promise<void> {
    if (!this.socket.writableNeedDrain) return
    await Promise.race([new Promise(resolve => this.socket.once('drain', resolve)), this.closed])
  }

  get isOpen(): boolean {
    return !this.socket.destroyed
  }
}
