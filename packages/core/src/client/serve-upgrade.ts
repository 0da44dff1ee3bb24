import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hasBody } from '../http/upgrade.ts'
import { setArrivedUpgrade } from './arrived-upgrade.ts'

const noop = (): void => {}

/**
 * Handles a request whose connection Node's server has released. Node no longer listens to the errors, `end` and `drain`
 * of that connection.
 */
export function serveUpgrade(handler: RequestListener, req: IncomingMessage, socket: Socket, head: Buffer): void {
  socket.on('error', noop)
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  try {
    res.assignSocket(socket)
  } catch {
    // An earlier response still has the socket. A response of ours cannot be written before it. It cannot be written after
    // it either, because the parser of the connection is gone.
    socket.destroy()
    return
  }
  socket.setTimeout?.(0)
  setArrivedUpgrade(req, { socket, head, unwire: connectResponse(req, res, socket) })
  if (hasBody(req)) {
    // Node has not separated the body from the bytes after it, so it cannot be read safely.
    res.writeHead(400, { Connection: 'close' }).end()
    return
  }
  handler(req, res)
}

/**
 * Does for a response what Node's server does on a connection that it owns.
 *
 * @returns a function that undoes it.
 */
function connectResponse(req: IncomingMessage, res: ServerResponse, socket: Socket): () => void {
  function clientOnDrain(): void {
    if (!res.writableEnded) res.emit('drain')
  }
  function clientOnClose(): void {
    req.destroy()
  }
  function clientOnTimeout(): void {
    const { server } = socket as Socket & { server?: Server }
    const isHandled = res.emit('timeout', socket)
    if (!server?.emit('timeout', socket) && !isHandled) socket.destroy()
  }
  function responseOnFinish(): void {
    socket.off('drain', clientOnDrain)
    socket.off('timeout', clientOnTimeout)
    socket.setTimeout?.(0)
    res.detachSocket(socket)
    res.destroyed = true
    socket.end()
    linger(socket)
    process.nextTick(() => res.emit('close'))
  }
  socket.on('drain', clientOnDrain)
  socket.on('close', clientOnClose)
  socket.on('timeout', clientOnTimeout)
  res.once('finish', responseOnFinish)
  return () => {
    socket.off('drain', clientOnDrain)
    socket.off('close', clientOnClose)
    socket.off('timeout', clientOnTimeout)
    res.off('finish', responseOnFinish)
  }
}

/** Longest wait for the peer's FIN after our FIN, ms (httpd: SECONDS_TO_LINGER). */
const LINGER_TIMEOUT = 2_000

/**
 * Reads on until the peer closes, so that the peer can read our last bytes. Closing a socket that has unread bytes
 * sends RST, and RST makes the peer drop what it has not read yet. httpd: ap_lingering_close.
 */
export function linger(socket: Socket): void {
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_TIMEOUT)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
}
