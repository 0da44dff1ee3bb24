/** Preloaded by the tests into programs of the README, which print nothing at start: prints where each server listens. */
import { type AddressInfo, Server } from 'node:net'

const { listen } = Server.prototype

Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  this.once('listening', () => {
    // Vite closes at once what it has opened to see whether a port is free.
    const address = this.address() as AddressInfo | null
    if (address !== null) console.log(`listening on http://localhost:${address.port}`)
  })
  return listen.apply(this, args as never)
} as typeof listen
