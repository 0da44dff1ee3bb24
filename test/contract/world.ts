import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { CommonOptions, RouteDefaults, Target, Tunnel, TunnelEnd, WsTunnelOptions } from '@ws-tunnel/core'
import {
  type Backend,
  type BackendConnection,
  type BackendOptions,
  type Script,
  startBackend,
} from '../support/backend.ts'
import {
  type AnswerHead,
  type ConnectOptions,
  connect,
  plainRequest,
  type RawClient,
  type UpgradeRequestOptions,
  upgradeRequest,
} from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import type { Start, Started, StartOptions } from '../support/start.ts'

/** A theme of the suite: its tests on one framework. */
export type Theme = (start: Start) => void

/** Options of one route to the backend, or a function that writes them all. */
export type Options = (CommonOptions & RouteDefaults & { target?: Target }) | ((backend: Backend) => WsTunnelOptions)

export interface WorldOptions extends StartOptions {
  /** @default '/' */
  mount?: string
  backend?: BackendOptions
  /** How the raw clients connect. */
  client?: ConnectOptions
}

export type WholeAnswer = AnswerHead & { body: string }

/** One gateway, one scripted backend, and clients; all of it ends with the test. */
export interface World {
  backend: Backend
  app: Started
  connect: () => Promise<RawClient>
  /** Asks for an upgrade; whatever comes back is left to the test. */
  upgrade: (path: string, options?: UpgradeRequestOptions & { early?: string }) => Promise<RawClient>
  /** Asks for an upgrade and must get it. */
  tunnel: (path: string, options?: UpgradeRequestOptions & { early?: string }) => Promise<RawClient>
  /** Asks for an upgrade and must get an ordinary answer. */
  refused: (path: string, options?: UpgradeRequestOptions & { early?: string }) => Promise<WholeAnswer>
  /** Sends the text on a fresh connection and reads one whole answer. */
  ask: (text: string, method?: string) => Promise<WholeAnswer>
  get: (path: string, options?: Parameters<typeof plainRequest>[1]) => Promise<WholeAnswer>
}

export async function world(
  t: TestContext,
  start: Start,
  script: Script,
  options: Options = {},
  { mount = '/', backend: backendOptions, client: clientOptions, ...more }: WorldOptions = {},
): Promise<World> {
  const backend = await startBackend(script, backendOptions)
  const clients: RawClient[] = []
  t.after(async () => {
    for (const client of clients) client.destroy()
    const closing = app?.close()
    try {
      await eventually(() => {
        const left = backend.connections.filter(({ ended, socket }) => !(ended ? socket.destroy() : socket).destroyed)
        assert.equal(left.length, 0, 'a connection to the backend outlived the gateway')
      })
    } finally {
      await backend.close()
      await closing
    }
    assert.deepEqual(backend.errors, [])
    assert.equal(app?.tunnels.size, 0)
  })
  const target = backendOptions?.path === undefined ? `ws://${backend.address}/` : `unix:${backend.address}|ws://unix/`
  const app = await start(mount, typeof options === 'function' ? options(backend) : { target, ...options }, more)

  const connectClient = async (): Promise<RawClient> => {
    const client = await connect(app.port, clientOptions)
    clients.push(client)
    return client
  }
  const upgrade: World['upgrade'] = async (path, { early = '', ...request } = {}) =>
    (await connectClient()).send(upgradeRequest(path, request) + early)
  const ask: World['ask'] = async (text, method) => (await connectClient()).send(text).whole(method)
  return {
    backend,
    app,
    connect: connectClient,
    upgrade,
    tunnel: async (path, request) => {
      const client = await upgrade(path, request)
      const answer = await client.answer()
      if (answer.statusCode !== 101) {
        assert.fail(`no tunnel: ${answer.startLine}: ${await client.body(answer)}`)
      }
      return client
    },
    refused: async (path, request) => {
      const answer = await (await upgrade(path, request)).whole()
      assert.notEqual(answer.statusCode, 101)
      return answer
    },
    ask,
    get: (path, request = {}) => ask(plainRequest(path, request), request.method),
  }
}

/** The failure that the app's error handler got, and what the client was told, agree. */
export function assertFailure(app: Started, answer: WholeAnswer, statusCode: number, code: string): void {
  assert.equal(answer.statusCode, statusCode, `${answer.startLine} ${answer.body}`)
  assert.deepEqual(
    app.errors.map(error => [error.code, error.statusCode]),
    [[code, statusCode]],
  )
  assert.equal(answer.body, JSON.stringify({ code }))
}

/** How the `n`th tunnel ended, when it has. */
export async function endOf(app: Started, n = 0): Promise<TunnelEnd> {
  return eventually(() => {
    const ended = app.ends[n]
    assert.ok(ended, 'the tunnel has not ended')
    return ended.end
  })
}

/** A tunnel with both of its ends in hand. */
export const openOne = async (
  w: World,
): Promise<{ client: RawClient; connection: Awaited<ReturnType<Backend['connection']>>; tunnel: Tunnel }> => {
  const client = await w.tunnel('/')
  const connection = await w.backend.connection()
  const [tunnel] = w.app.tunnels
  assert.ok(tunnel)
  return { client, connection, tunnel }
}

/** Waits until the gateway has let go of a connection to the backend, by FIN or RST. */
export const left = (connection: BackendConnection): Promise<unknown> =>
  eventually(() => assert.ok(connection.ended || connection.socket.destroyed, 'the gateway holds on to the backend'))
