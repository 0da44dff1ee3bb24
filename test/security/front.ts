import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { type Backend, type BackendOptions, type Script, startBackend } from '../support/backend.ts'
import { connect, type RawClient } from '../support/client.ts'
import { within } from '../support/gate.ts'
import { type Started, type StartOptions, startExpress5 } from '../support/start.ts'

/** Options of one target, but the target; or all options by the backend's address. */
export type FrontOptions = Partial<WsTunnelOptions> | ((address: string) => WsTunnelOptions)

export interface Front {
  backend: Backend
  gateway: Started
  /** A connection to the gateway that ends with the test. */
  dial: () => Promise<RawClient>
  /** Sends the bytes on a connection of their own and gives everything that comes back until the gateway ends it. */
  exchange: (bytes: string | Uint8Array) => Promise<string>
}

/** Express 5 with a tunnel at `/` to a scripted backend; everything ends with the test. */
export async function front(
  t: TestContext,
  script: Script,
  options: FrontOptions = {},
  more: StartOptions & { mount?: string; backend?: BackendOptions } = {},
): Promise<Front> {
  const backend = await startBackend(script, more.backend)
  const clients: RawClient[] = []
  const all =
    typeof options === 'function'
      ? options(backend.address)
      : ({ target: `ws://${backend.address}`, ...options } as WsTunnelOptions)
  const gateway = await startExpress5(more.mount ?? '/', all, more).catch(async error => {
    await backend.close()
    throw error
  })
  // The clients first: a gateway that closes would give each the time to answer its FIN.
  t.after(async () => {
    for (const client of clients) client.destroy()
    await gateway.close()
    await backend.close()
  })
  const dial = async (): Promise<RawClient> => {
    const client = await connect(gateway.port)
    clients.push(client)
    return client
  }
  const exchange = async (bytes: string | Uint8Array): Promise<string> => {
    const client = await dial()
    client.send(bytes)
    const answer = (await within(5_000, 'the end of the connection', client.readAll())).toString('latin1')
    client.destroy()
    return answer
  }
  return { backend, gateway, dial, exchange }
}

/** What a backend got behind the heads it read. */
export const leftover = (backend: Backend): string =>
  backend.connections.map(connection => connection.pending.toString('latin1')).join('')

/** The status of every final answer in the text; interim ones are left out. */
export const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.[01] (\d{3})[ \r]/g)].map(([, status]) => Number(status)).filter(status => status > 199)

/** Waits until the backend's connections are closed; a tunnel or request that outlives its client is a leak. */
export async function released(backend: Backend, ms = 2_000): Promise<void> {
  await within(ms, 'every backend connection to close', Promise.all(backend.connections.map(each => each.closed)))
  assert.equal(backend.open, 0)
}
