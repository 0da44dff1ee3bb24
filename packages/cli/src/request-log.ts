import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { plainAddress } from '@ws-tunnel/core'
import type { Host } from './virtual-hosts.ts'

/** Completes the record of a request and writes its line. */
export type FinishRecord = (status: number, tunnelBytes?: number) => void

/** Writes one access log line per request to standard output. */
export class RequestLog {
  /** The bytes of each connection that earlier lines have counted. */
  readonly #counted = new WeakMap<Socket, { read: number; written: number }>()

  /** Starts the record of a request. It wraps `res`, so it must be called before anything writes to the response. */
  start(req: IncomingMessage, res: ServerResponse, host: Host): FinishRecord {
    const { socket } = req
    const startedAt = new Date()
    const started = process.hrtime.bigint()
    // Node forgets the addresses of a socket that is closed.
    const { remoteAddress, remotePort = 0, localAddress, localPort = 0 } = socket
    const bodyBytes = countBody(res)
    if (host.log.readsResponseFields) keepResponseFields(res)
    return (status, tunnelBytes) => {
      const before = this.#counted.get(socket) ?? { read: 0, written: 0 }
      const after = { read: socket.bytesRead, written: socket.bytesWritten }
      this.#counted.set(socket, after)
      const line = host.log.format({
        req,
        res,
        clientAddress: plainAddress(remoteAddress),
        clientPort: remotePort,
        localAddress: plainAddress(localAddress),
        localPort,
        serverName: host.serverName,
        startedAt,
        duration: Number(process.hrtime.bigint() - started) / 1_000,
        status,
        bytesIn: after.read - before.read,
        bytesOut: after.written - before.written,
        bodyBytes: tunnelBytes ?? bodyBytes(),
      })
      process.stdout.write(`${line}\n`)
    }
  }
}

/** Counts the bytes of a body while it is written. */
function countBody(res: ServerResponse): () => number {
  let bytes = 0
  const count = (chunk: unknown): void => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) bytes += Buffer.byteLength(chunk)
  }
  const { write, end } = res
  res.write = (...args: unknown[]) => {
    count(args[0])
    return write.apply(res, args as never)
  }
  res.end = (...args: unknown[]) => {
    count(args[0])
    return end.apply(res, args as never)
  }
  return () => (res.req.method === 'HEAD' ? 0 : bytes)
}

/**
 * Makes `getHeader` return the fields of the response after the head is written. Node does not keep fields that are
 * passed to `writeHead` as a list. If `writeHead` is an own property of the response, the core sets each field by
 * itself instead.
 */
function keepResponseFields(res: ServerResponse): void {
  res.writeHead = ServerResponse.prototype.writeHead
}
