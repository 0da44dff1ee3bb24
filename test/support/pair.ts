import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type SecureVersion, TLSSocket, connect as tlsConnect } from 'node:tls'
import * as certificates from './tls.ts'

/** Both ends of one TCP connection. Neither sends FIN by itself. */
async function openPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()
  for (const socket of [near, far]) socket.on('error', () => {})
  return [near, far]
}

/** Both ends of one TCP connection, destroyed when the test has ended. Neither sends FIN by itself. */
export async function connectedPair(t: TestContext): Promise<[Socket, Socket]> {
  const pair = await openPair()
  t.after(() => {
    for (const socket of pair) socket.destroy()
  })
  return pair
}

/** Both ends of one TLS connection: the client's and the server's, and a function that makes the client send RST. */
export async function encryptedPair(
  t: TestContext,
  version: SecureVersion = 'TLSv1.3',
): Promise<[client: TLSSocket, server: TLSSocket, reset: () => void]> {
  const [near, far] = await openPair()
  // The options of a server's end are not all in the types of Node.
  const options = { isServer: true, allowHalfOpen: true, ...certificates.server }
  const server = new TLSSocket(far, options)
  const { ca } = certificates
  const versions = { minVersion: version, maxVersion: version }
  const client = tlsConnect({ socket: near, ca, servername: 'localhost', ...versions, allowHalfOpen: true } as object)
  for (const socket of [client, server]) socket.on('error', () => {})
  t.after(() => {
    client.destroy()
    server.destroy()
  })
  await Promise.all([once(client, 'secureConnect'), once(server, 'secure')])
  return [client, server, () => void near.resetAndDestroy()]
}
