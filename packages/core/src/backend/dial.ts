import { type Socket, type TcpNetConnectOpts, connect as tcpConnect } from 'node:net'
import { type ConnectionOptions, type SecureContext, connect as tlsConnect } from 'node:tls'

/** What a connection needs of a backend with TLS. */
export interface PeerTls {
  /** The certificates. */
  readonly secureContext: SecureContext
  /** Checks the certificate of a new connection before anything is sent. */
  watchPeer(socket: Socket): void
}

/**
 * Connects to a backend. Exactly one of the functions is called, unless the caller destroys the socket first.
 *
 * @param tls is given for a backend with TLS.
 * @throws what `tls.connect` throws for TLS options.
 */
export function dial(
  options: ConnectionOptions & TcpNetConnectOpts,
  tls: PeerTls | undefined,
  onConnected: (socket: Socket) => void,
  onFailed: (error: Error) => void,
): Socket {
  const secureContext = tls?.secureContext
  const socket = secureContext ? tlsConnect({ ...options, secureContext }) : tcpConnect(options)
  tls?.watchPeer(socket)
  const socketOnClose = (): void => onFailed(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))
  socket.on('error', onFailed)
  socket.on('close', socketOnClose)
  socket.once(secureContext ? 'secureConnect' : 'connect', () => {
    // The new owner has listeners of its own before these go.
    onConnected(socket)
    socket.off('error', onFailed)
    socket.off('close', socketOnClose)
  })
  return socket
}
