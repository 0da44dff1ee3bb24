import type { Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'

/** The longest message, in characters. The bytes that wait in a batch of tunnels are the longest part. */
const MAX_LENGTH = 64 * 1024 * 1024

/** How long the other process may take for a message, ms. */
export const RESPONSE_TIME = 10_000

/** Messages over a unix socket, each a line of JSON. */
export class MessageStream<In extends { readonly type: string }, Out> {
  readonly #socket: Socket
  readonly #received: In[] = []
  #text: string[] = []
  #length = 0
  #failure: WsTunnelError | undefined
  #waiting: (() => void) | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#take(text))
    socket.resume()
    socket.on('error', error => this.#fail(error.message))
    socket.on('close', () => this.#fail('the other process has closed the connection'))
  }

  /** Resolves when the kernel has the message. It is delivered even if this process is killed then. */
  send(message: Out): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(`${JSON.stringify(message)}\n`, error => {
        if (error) reject(failure(error.message))
        else resolve()
      })
    })
  }

  /**
   * Resolves to the next message of this type.
   *
   * @throws {WsTunnelError} `WST_ERR_HANDOVER` if another message comes, the connection ends or the time is over.
   */
  async receive<Type extends In['type']>(type: Type, time = RESPONSE_TIME): Promise<Extract<In, { type: Type }>> {
    const message = await this.next(time)
    if (message.type === type) return message as Extract<In, { type: Type }>
    const reason = 'reason' in message ? String(message.reason) : `expected the message ${type}, got ${message.type}`
    throw failure(reason)
  }

  /** Resolves to the next message, of any type. @param time ms; 0 is no limit */
  async next(time = RESPONSE_TIME): Promise<In> {
    if (this.#received.length === 0 && this.#failure === undefined) await this.#untilReceived(time)
    const message = this.#received.shift()
    if (message !== undefined) return message
    throw this.#failure ?? failure(`no message within ${time} ms`)
  }

  close(): void {
    this.#socket.destroy()
  }

  #untilReceived(time: number): Promise<void> {
    return new Promise(resolve => {
      const timer = time > 0 ? setTimeout(resolve, time) : undefined
      this.#waiting = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #take(text: string): void {
    this.#length += text.length
    if (this.#length > MAX_LENGTH) {
      this.#fail(`a message is longer than ${MAX_LENGTH} characters`)
      return
    }
    if (!text.includes('\n')) {
      this.#text.push(text)
      return
    }
    const lines = [...this.#text, text].join('').split('\n')
    const rest = lines.pop() ?? ''
    this.#text = [rest]
    this.#length = rest.length
    for (const line of lines) this.#parse(line)
    this.#wake()
  }

  #parse(line: string): void {
    if (this.#failure !== undefined) return
    try {
      const message: unknown = JSON.parse(line)
      if (typeof message === 'object' && message !== null && 'type' in message) this.#received.push(message as In)
      else throw new SyntaxError('no `type`')
    } catch {
      this.#fail(`expected a message, got ${JSON.stringify(line.slice(0, 80))}`)
    }
  }

  #fail(reason: string): void {
    this.#failure ??= failure(reason)
    this.#socket.destroy()
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }
}

export const failure = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_HANDOVER', { detail })
