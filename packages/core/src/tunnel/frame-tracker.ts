import { randomBytes } from 'node:crypto'

/** Bytes of a state. */
const SIZE = 24

const OPCODE_CLOSE = 8
const GOING_AWAY = 1001

/**
 * Follows where the frames of a WebSocket begin and end (RFC 6455 5.2). It reads their headers alone. Its state has the
 * layout of `struct frames` in `@ws-tunnel/native`, because it moves there with the tunnel.
 */
export class FrameTracker {
  /** Bytes of the header that have come, the mark of a Close frame, these bytes, and what has not come of the payload. */
  readonly state: Buffer
  readonly #header: Buffer

  constructor(state: Buffer = Buffer.alloc(SIZE)) {
    this.state = state
    this.#header = state.subarray(2, 16)
  }

  /** Notes bytes of the stream. */
  pass(bytes: Buffer): void {
    const { state } = this
    let left = state.readBigUInt64LE(16)
    for (let at = 0; at < bytes.length; ) {
      if (left > 0n) {
        const n = Math.min(bytes.length - at, Number(left))
        left -= BigInt(n)
        at += n
        continue
      }
      const have = (state[0] as number) + 1
      this.#header[have - 1] = bytes[at++] as number
      state[0] = have
      if (have < 2 || have < this.#headerSize()) continue
      if (((this.#header[0] as number) & 0x0f) === OPCODE_CLOSE) state[1] = 1
      left = this.#payloadSize()
      state[0] = 0
    }
    state.writeBigUInt64LE(left, 16)
  }

  /** Whether a frame may be put into the stream here. None may follow a Close frame. */
  get isAtBoundary(): boolean {
    return this.state[0] === 0 && this.state[1] === 0 && this.state.readBigUInt64LE(16) === 0n
  }

  #headerSize(): number {
    const second = this.#header[1] as number
    const length = second & 0x7f
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
  }

  #payloadSize(): bigint {
    const length = (this.#header[1] as number) & 0x7f
    if (length < 126) return BigInt(length)
    return length === 126 ? BigInt(this.#header.readUInt16BE(2)) : this.#header.readBigUInt64BE(2)
  }
}

/** The trackers of both directions of a tunnel. */
export interface Frames {
  readonly client: FrameTracker
  readonly backend: FrameTracker
}

/** @param states those of both directions, the client's first */
export function framesFrom(states: Buffer = Buffer.alloc(2 * SIZE)): Frames {
  return { client: new FrameTracker(states.subarray(0, SIZE)), backend: new FrameTracker(states.subarray(SIZE)) }
}

export const statesOf = ({ client, backend }: Frames): Buffer => Buffer.concat([client.state, backend.state])

/** A Close frame with the code 1001. A client masks its frames, with a key that cannot be guessed; a server does not. */
export function closeFrame(masked: boolean): Buffer {
  const payload = Buffer.alloc(2)
  payload.writeUInt16BE(GOING_AWAY)
  const head = [0x80 | OPCODE_CLOSE, (masked ? 0x80 : 0) | payload.length]
  if (!masked) return Buffer.from([...head, ...payload])
  const key = randomBytes(4)
  return Buffer.from([...head, ...key, ...payload.map((byte, i) => byte ^ (key[i] as number))])
}
