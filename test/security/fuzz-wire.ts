import type { Socket } from 'node:net'
import type { Step } from './fuzz-cases.ts'

/** One end of a connection: keeps every byte that arrives and runs a script. */
export class Side {
  readonly socket: Socket
  ended = false
  closed = false
  error: Error | undefined
  /** Scripts that waited longer than any valid peer needs. */
  stalled: string | undefined
  readonly #carrier: Socket
  #chunks: Buffer[] = []
  #waiting = new Set<() => void>()

  /** @param carrier the TCP socket under a TLS one */
  constructor(socket: Socket, carrier: Socket = socket) {
    this.socket = socket
    this.#carrier = carrier
    carrier.setNoDelay(true)
    socket.on('data', chunk => {
      this.#chunks.push(chunk)
      this.#wake()
    })
    socket.on('end', () => {
      this.ended = true
      this.#wake()
    })
    socket.on('error', error => {
      this.error = error
    })
    socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
  }

  /** Everything that arrived. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  /** Waits until `holds`, until the socket is closed, or for `ms`. @returns `false` if the time ran out. */
  until(holds: () => boolean, ms: number): Promise<boolean> {
    if (holds() || this.closed) return Promise.resolve(true)
    return new Promise(resolve => {
      const settle = (reached: boolean) => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve(reached)
      }
      const check = () => {
        if (holds() || this.closed) settle(true)
      }
      const timer = setTimeout(() => settle(false), ms)
      this.#waiting.add(check)
    })
  }

  /** Sends RST. While an `end()` is in progress libuv refuses that, and the socket would never close. */
  reset(): void {
    if (!this.socket.writableEnded) this.#carrier.resetAndDestroy()
    this.socket.destroy()
  }

  /** Runs the steps in order. `milestones` are the conditions that the steps wait for. */
  async play(steps: readonly Step[], milestones: Record<string, () => boolean>): Promise<void> {
    for (const [i, step] of steps.entries()) {
      if (this.closed) return
      if (step.do === 'write') {
        if (this.socket.writable) this.socket.write(step.bytes)
      } else if (step.do === 'turn') await new Promise(resolve => setImmediate(resolve))
      else if (step.do === 'wait') await new Promise(resolve => setTimeout(resolve, step.ms))
      else if (step.do === 'fin') this.socket.end()
      else if (step.do === 'rst') this.reset()
      else if (step.do === 'pause') this.socket.pause()
      else if (step.do === 'resume') this.socket.resume()
      else if (step.do === 'switched') milestones['switched']?.()
      else {
        const reached = await this.until(milestones[step.what] as () => boolean, step.ms)
        if (!reached && step.required) {
          this.stalled = `step ${i} waited ${step.ms} ms for ${step.what}`
          this.socket.resetAndDestroy()
          return
        }
      }
    }
  }
}

/** A head as it arrived. */
export interface WireHead {
  startLine: string
  fields: [name: string, value: string][]
  /** The offset of the bytes after it. */
  end: number
}

/** The head that begins at `from`, if it is complete. */
export function readHead(bytes: Buffer, from: number): WireHead | undefined {
  const blank = bytes.indexOf('\r\n\r\n', from)
  if (blank === -1) return undefined
  const [startLine = '', ...lines] = bytes.subarray(from, blank).toString('latin1').split('\r\n')
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return colon === -1 ? ['', line] : [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
  })
  return { startLine, fields, end: blank + 4 }
}

/** Every value of a field. */
export const valuesOf = (head: WireHead, name: string): string[] =>
  head.fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value)

export interface WireBody {
  body: Buffer
  complete: boolean
  end: number
}

/** Chunks from `from` on; `undefined` for broken framing. */
function readChunks(bytes: Buffer, from: number): WireBody | undefined {
  const parts: Buffer[] = []
  let at = from
  for (;;) {
    const line = bytes.indexOf('\r\n', at)
    if (line === -1) return { body: Buffer.concat(parts), complete: false, end: bytes.length }
    const text = bytes.subarray(at, line).toString('latin1')
    if (!/^[0-9a-f]+$/i.test(text)) return undefined
    const size = Number.parseInt(text, 16)
    if (size === 0) {
      const complete = bytes.length >= line + 4
      return { body: Buffer.concat(parts), complete, end: Math.min(bytes.length, line + 4) }
    }
    parts.push(bytes.subarray(line + 2, Math.min(bytes.length, line + 2 + size)))
    at = line + 2 + size + 2
    if (at > bytes.length) return { body: Buffer.concat(parts), complete: false, end: bytes.length }
  }
}

/** A body by its framing. Without framing it is empty, or lasts until the end if `untilEnd`. */
export function readBody(bytes: Buffer, head: WireHead, untilEnd: boolean, ended: boolean): WireBody | undefined {
  if (valuesOf(head, 'transfer-encoding').length > 0) return readChunks(bytes, head.end)
  const length = valuesOf(head, 'content-length')[0]
  if (length === undefined) {
    return untilEnd
      ? { body: bytes.subarray(head.end), complete: ended, end: bytes.length }
      : { body: Buffer.alloc(0), complete: true, end: head.end }
  }
  const end = head.end + Number(length)
  return { body: bytes.subarray(head.end, end), complete: bytes.length >= end, end: Math.min(bytes.length, end) }
}

export interface WireResponse extends WireHead, WireBody {
  status: number
}

/** The final responses that a client got, in order, and the bytes after them. */
export function readResponses(
  bytes: Buffer,
  method: string,
  ended: boolean,
): { responses: WireResponse[]; rest: Buffer; fault: string | undefined } {
  const responses: WireResponse[] = []
  let at = 0
  while (at < bytes.length) {
    const begin = bytes.subarray(at, at + 9).toString('latin1')
    if (!'HTTP/1.1 '.startsWith(begin) && !'HTTP/1.0 '.startsWith(begin)) {
      const shown = JSON.stringify(bytes.subarray(at, at + 60).toString('latin1'))
      return { responses, rest: bytes.subarray(at), fault: `no status line but ${shown}` }
    }
    const head = readHead(bytes, at)
    if (head === undefined) break
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(head.startLine)?.[1] ?? 0)
    if (status < 100)
      return { responses, rest: bytes.subarray(at), fault: `status line ${JSON.stringify(head.startLine)}` }
    at = head.end
    if (status === 101) {
      responses.push({ ...head, status, body: bytes.subarray(at), complete: true })
      return { responses, rest: Buffer.alloc(0), fault: undefined }
    }
    if (status < 200) continue
    const bare = method === 'HEAD' || status === 204 || status === 304
    const body = bare ? { body: Buffer.alloc(0), complete: true, end: at } : readBody(bytes, head, true, ended)
    if (body === undefined) return { responses, rest: bytes.subarray(at), fault: 'broken chunks' }
    responses.push({ ...head, ...body, status })
    at = body.end
  }
  return { responses, rest: bytes.subarray(at), fault: undefined }
}
