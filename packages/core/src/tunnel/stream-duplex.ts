import { constants, type Http2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { cancelStream } from '../util/cancel-stream.ts'

/**
 * An HTTP/2 stream as a socket: FIN and END_STREAM, RST and RST_STREAM correspond. Node's own stream reports a reset as a plain
 * end in some cases, and does not send a reset when it is destroyed.
 */
export class StreamDuplex extends Duplex {
  protected readonly stream: Http2Stream
  readonly #readsBody: boolean
  bytesRead = 0
  bytesWritten = 0
  /** Of the connection that the stream is part of. */
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined

  /** @param readsBody whether the bytes of the peer are those of the socket. Otherwise another reader takes them. */
  constructor(stream: Http2Stream, readsBody: boolean) {
    super({ allowHalfOpen: true })
    this.stream = stream
    this.#readsBody = readsBody
    const socket = stream.session?.socket as Socket | undefined
    this.remoteAddress = socket?.remoteAddress
    this.remotePort = socket?.remotePort
    this.remoteFamily = socket?.remoteFamily
    this.localAddress = socket?.localAddress
    this.localPort = socket?.localPort
    stream.on('error', ignore)
    stream.on('close', this.#streamOnClose)
    if (!readsBody) return
    stream.on('data', this.#streamOnData)
    stream.on('end', this.#streamOnEnd)
    stream.pause()
  }

  readonly #streamOnData = (chunk: Buffer): void => {
    this.bytesRead += chunk.length
    if (!this.push(chunk)) this.stream.pause()
  }

  readonly #streamOnEnd = (): void => void this.push(null)

  readonly #streamOnClose = (): void => {
    if (this.destroyed) return
    const { rstCode } = this.stream
    if (rstCode === constants.NGHTTP2_NO_ERROR || rstCode === undefined) this.destroy()
    else this.destroy(Object.assign(new Error(`the peer has reset the stream: ${rstCode}`), { code: 'ECONNRESET' }))
  }

  override _read(): void {
    if (this.#readsBody && !this.stream.destroyed) this.stream.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.bytesWritten += chunk.length
    this.send(chunk, done)
  }

  protected send(bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.stream.writable) this.stream.write(bytes, done)
    else done(Object.assign(new Error('the stream is closed'), { code: 'EPIPE' }))
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.stream.writable) done()
    else this.stream.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isComplete = this.writableFinished && (this.readableEnded || !this.#readsBody)
    if (!isComplete) cancelStream(this.stream)
    done(error)
  }
}

const ignore = (): void => {}
