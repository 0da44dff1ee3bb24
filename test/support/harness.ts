import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { CommonOptions, RouteDefaults, Target, Tunnel, WsTunnelOptions } from '@ws-tunnel/core'
import { type Backend, type BackendConnection, type BackendOptions, openBackend, type Script } from './backend.ts'
import {
  type ConnectOptions,
  connect,
  plainRequest,
  type RawClient,
  type ResponseHead,
  type UpgradeRequestOptions,
  upgradeRequest,
} from './client.ts'
import { type CoreGateway, type Gateway, type Start, type StartOptions, startCore } from './frameworks.ts'
import { eventually, socketPath, within } from './gate.ts'
import * as certificates from './tls.ts'

/** What a test has open. */
interface Open {
  clients: RawClient[]
  gateways: Gateway[]
  backends: Backend[]
  /** Backends to which no connection may remain when the clients and gateways are closed. */
  watched: Backend[]
  paths: (() => Promise<void>)[]
}

const openOf = new WeakMap<TestContext, Open>()

/** What the test has open. All of it is closed when the test has ended, in one order, whatever the order it was opened in. */
function opened(t: TestContext): Open {
  const known = openOf.get(t)
  if (known !== undefined) return known
  const open: Open = { clients: [], gateways: [], backends: [], watched: [], paths: [] }
  openOf.set(t, open)
  t.after(() => closeAll(open))
  return open
}

/** Clients first: a gateway that closes gives each client the time to reply to its FIN. */
async function closeAll({ clients, gateways, backends, watched, paths }: Open): Promise<void> {
  for (const client of clients) client.destroy()
  const closing = Promise.all(gateways.map(gateway => gateway.close()))
  try {
    await eventually(() => {
      // A socket that the test has stopped reading does not see the gateway's FIN.
      const left = watched
        .flatMap(backend => backend.connections)
        .filter(({ ended, socket }) => !(ended ? socket.destroy() : socket.resume()).destroyed)
      assert.equal(left.length, 0, 'a connection to the backend outlived the gateway')
    })
  } finally {
    await Promise.all(backends.map(backend => backend.close()))
    await closing
    for (const remove of paths) await remove()
  }
  for (const backend of watched) assert.deepEqual(backend.errors, [])
  for (const gateway of gateways) assert.equal(gateway.tunnels.size, 0)
}

/** A scripted backend over raw sockets, closed when the test has ended. */
export async function startBackend(t: TestContext, script: Script, options?: BackendOptions): Promise<Backend> {
  const backend = await openBackend(script, options)
  opened(t).backends.push(backend)
  return backend
}

/** A gateway of the core on a plain node:http server, closed when the test has ended. */
export function startGateway(t: TestContext, options: WsTunnelOptions, more?: StartOptions): Promise<CoreGateway> {
  return startGatewayOn(t, startCore, '/', options, more)
}

/** A gateway on a framework, closed when the test has ended. */
export async function startGatewayOn<G extends Gateway>(
  t: TestContext,
  start: Start<G>,
  mount: string,
  options: WsTunnelOptions,
  more?: StartOptions,
): Promise<G> {
  const gateway = await start(mount, options, more)
  opened(t).gateways.push(gateway)
  return gateway
}

/** A port of 127.0.0.1, or a gateway with the wire it listens on. */
export type Listening = number | { port: number; wire?: ConnectOptions }

/** A raw client that is connected, destroyed when the test has ended. */
export async function connectClient(t: TestContext, to: Listening, options?: ConnectOptions): Promise<RawClient> {
  const client = await (typeof to === 'number' ? connect(to, options) : connect(to.port, { ...to.wire, ...options }))
  opened(t).clients.push(client)
  return client
}

/** A raw client that has sent the text. */
export async function sendRequest(t: TestContext, to: Listening, text: string): Promise<RawClient> {
  return (await connectClient(t, to)).send(text)
}

/** The options of an upgrade request, and bytes in the same packet. */
export type UpgradeOptions = UpgradeRequestOptions & { early?: string }

async function sendUpgrade(
  t: TestContext,
  to: Listening,
  path: string,
  { early = '', ...request }: UpgradeOptions = {},
  wire?: ConnectOptions,
): Promise<RawClient> {
  return (await connectClient(t, to, wire)).send(upgradeRequest(path, request) + early)
}

/** A raw client whose upgrade was accepted: the next byte it reads is the first one after the head of the 101. */
export async function connectTunnel(
  t: TestContext,
  to: Listening,
  path = '/',
  options?: UpgradeOptions,
  wire?: ConnectOptions,
): Promise<RawClient> {
  const client = await sendUpgrade(t, to, path, options, wire)
  const head = await client.responseHead()
  if (head.statusCode !== 101) assert.fail(`no tunnel: ${head.startLine}: ${await client.body(head)}`)
  return client
}

/** A response with its body as text. */
export type WholeResponse = ResponseHead & { body: string }

/** Options for one target, which is the backend unless it is given; or a function that gives all options. */
export type SetUpOptions =
  | (CommonOptions & RouteDefaults & { target?: Target })
  | ((backend: Backend) => WsTunnelOptions)

export type Wire = 'TCP' | 'TLS' | 'unix'

/** What a client's side and a backend's side of a gateway can be, in the combinations worth a test. */
export const WIRES: [clientWire: Wire, backendWire: Wire][] = [
  ['TCP', 'TCP'],
  ['TLS', 'TCP'],
  ['TCP', 'TLS'],
  ['TLS', 'TLS'],
  ['unix', 'unix'],
]

export interface Settings extends StartOptions {
  /** Where the tunnel is mounted, on a framework. @default '/' */
  mount?: string
  backend?: BackendOptions
  /** How the raw clients connect, beside the wire. */
  client?: ConnectOptions
  /** The wire between client and gateway. @default 'TCP' */
  clientWire?: Wire
  /** The wire between gateway and backend. @default 'TCP' */
  backendWire?: Wire
  /** Both ends of each tunnel of `open` send FIN when they receive FIN. */
  finAfterFin?: boolean
}

/** Both ends of a tunnel, and the tunnel. */
export interface OpenTunnel {
  client: RawClient
  connection: BackendConnection
  tunnel: Tunnel
}

/** The two ends of a tunnel, the named one first. */
export const endsOf = (
  { client, connection }: Pick<OpenTunnel, 'client' | 'connection'>,
  first: 'client' | 'backend',
): [RawClient | BackendConnection, RawClient | BackendConnection] =>
  first === 'client' ? [client, connection] : [connection, client]

/** One gateway, one scripted backend, and clients. */
export interface SetUp<G extends Gateway = Gateway> {
  backend: Backend
  gateway: G
  connect: () => Promise<RawClient>
  /** Sends an upgrade request; what comes back is left to the test. */
  upgrade: (path: string, options?: UpgradeOptions) => Promise<RawClient>
  /** Sends an upgrade request, which must be accepted. */
  tunnel: (path: string, options?: UpgradeOptions) => Promise<RawClient>
  /** Opens one more tunnel. */
  open: () => Promise<OpenTunnel>
  /** Sends an upgrade request, which must get an ordinary response. */
  refused: (path: string, options?: UpgradeOptions) => Promise<WholeResponse>
  /** Sends the text on a new connection and reads one whole response. */
  request: (text: string, method?: string) => Promise<WholeResponse>
  get: (path: string, options?: Parameters<typeof plainRequest>[1]) => Promise<WholeResponse>
  /** Sends the bytes on a new connection and reads all that comes back until the gateway ends it. */
  sendAndReadAll: (bytes: string | Uint8Array) => Promise<string>
}

export type SetUpFunction<G extends Gateway = Gateway> = (
  t: TestContext,
  script: Script,
  options?: SetUpOptions,
  settings?: Settings,
) => Promise<SetUp<G>>

/** @returns a function that starts a backend, a gateway on the framework before it, and gives what a test needs of both. */
export const setUpOn =
  <G extends Gateway>(start: Start<G>): SetUpFunction<G> =>
  async (t, script, options = {}, settings = {}) => {
    const {
      mount = '/',
      backend: backendOptions,
      client: wire,
      clientWire,
      backendWire,
      finAfterFin,
      ...more
    } = settings
    const backend = await startBackend(t, script, { ...(await backendOptionsOf(t, backendWire)), ...backendOptions })
    opened(t).watched.push(backend)
    const all = typeof options === 'function' ? options(backend) : defaultsFor(backend, backendWire, options)
    const gateway = await startGatewayOn(t, start, mount, all, { ...(await startOptionsOf(t, clientWire)), ...more })

    const connectOne = (): Promise<RawClient> => connectClient(t, gateway, wire)
    const upgrade: SetUp['upgrade'] = (path, request) => sendUpgrade(t, gateway, path, request, wire)
    const tunnel: SetUp['tunnel'] = (path, request) => connectTunnel(t, gateway, path, request, wire)
    const request: SetUp['request'] = async (text, method) => (await connectOne()).send(text).whole(method)
    return {
      backend,
      gateway,
      connect: connectOne,
      upgrade,
      tunnel,
      open: async () => {
        const [n, accepted] = [gateway.opened.length, backend.connections.length]
        const client = await tunnel('/')
        const connection = await backend.connection(accepted)
        if (finAfterFin) sendFinAfterFin(client, connection)
        return { client, connection, tunnel: gateway.opened[n] as Tunnel }
      },
      refused: async (path, request) => {
        const response = await (await upgrade(path, request)).whole()
        assert.notEqual(response.statusCode, 101)
        return response
      },
      request,
      get: (path, options = {}) => request(plainRequest(path, options), options.method),
      sendAndReadAll: async bytes => {
        const client = (await connectOne()).send(bytes)
        const all = await within(5_000, 'the end of the connection', client.readAll())
        client.destroy()
        return all.toString('latin1')
      },
    }
  }

/** A gateway of the core on a plain node:http server, with a scripted backend. */
export const setUp: SetUpFunction<CoreGateway> = setUpOn(startCore)

async function unixPath(t: TestContext): Promise<string> {
  const { path, remove } = await socketPath()
  opened(t).paths.push(remove)
  return path
}

async function backendOptionsOf(t: TestContext, wire: Wire = 'TCP'): Promise<BackendOptions> {
  if (wire === 'TLS') return { tls: certificates.server }
  return wire === 'unix' ? { path: await unixPath(t) } : {}
}

async function startOptionsOf(t: TestContext, wire: Wire = 'TCP'): Promise<StartOptions> {
  if (wire === 'TLS') return { tls: certificates.server }
  return wire === 'unix' ? { at: { path: await unixPath(t) } } : {}
}

const defaultsFor = (backend: Backend, wire: Wire | undefined, options: object): WsTunnelOptions => ({
  target: backend.url,
  ...(wire === 'TLS' ? { tls: { ca: certificates.ca } } : {}),
  ...options,
})

/** Each of them sends FIN when it receives FIN, as a peer does that has nothing more to send. */
export function sendFinAfterFin(...peers: { socket: RawClient['socket'] }[]): void {
  for (const { socket } of peers) {
    if (socket.readableEnded) socket.end()
    else socket.once('end', () => socket.end())
  }
}

/** The app's error handler and the client both got this failure. */
export function assertFailure(gateway: Gateway, response: WholeResponse, statusCode: number, code: string): void {
  assert.equal(response.statusCode, statusCode, `${response.startLine} ${response.body}`)
  assert.deepEqual(
    gateway.errors.map(error => [error.code, error.statusCode]),
    [[code, statusCode]],
  )
  assert.equal(response.body, JSON.stringify({ code }))
}

/** Waits until the gateway has ended a connection to the backend, by FIN or RST. */
export const gatewayLeft = (connection: BackendConnection): Promise<unknown> =>
  eventually(() => assert.ok(connection.ended || connection.socket.destroyed, 'the gateway keeps the connection open'))

/** Waits until all of the backend's connections are closed; one that outlives its client is a leak. */
export async function backendReleased(backend: Backend, ms = 2_000): Promise<void> {
  await within(ms, 'every backend connection to close', Promise.all(backend.connections.map(each => each.closed)))
  assert.equal(backend.open, 0)
}

/** What a backend received after the heads it read. */
export const unreadBytes = (backend: Backend): string =>
  backend.connections.map(connection => connection.pending.toString('latin1')).join('')

/** The status of every final response in the text; interim ones are left out. */
export const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.[01] (\d{3})[ \r]/g)].map(([, status]) => Number(status)).filter(status => status > 199)
