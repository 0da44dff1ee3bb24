import { closeSync } from 'node:fs'
import { connect, type ListenOptions, type Socket } from 'node:net'
import { WsTunnelError } from '../errors.ts'
import { type MovableProxy, movableProxies } from '../proxy/movable-proxies.ts'
import type { TunnelRecord } from '../proxy/tunnel-record.ts'
import { descriptor, loadNativeAddon, type NativeAddon } from '../tunnel/native-addon.ts'
import { NativeEngine } from '../tunnel/native-engine.ts'
import { OpenTunnel } from '../tunnel/open-tunnel.ts'
import { failure, MessageStream } from './message-stream.ts'
import {
  type GiverMessage,
  type ListenerAddress,
  publishStep,
  type State,
  type TakerMessage,
  VERSION,
} from './messages.ts'

/** Why there is no process to take from: no socket, or one that nothing listens on. */
const NOT_RUNNING: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ECONNREFUSED'])

/** A tunnel that this process has adopted, but may not touch yet. */
interface Adopted {
  readonly engine: NativeEngine
  readonly record: TunnelRecord
  readonly proxy: MovableProxy
}

type Giver = MessageStream<GiverMessage, TakerMessage>

/** Takes the listeners and the tunnels of the process that serves now. */
export class Taker {
  readonly state: State
  readonly #native = loadNativeAddon() as NativeAddon
  readonly #giver: Giver
  /** The connection through which the descriptors come. Node never reads it. */
  readonly #passing: Socket
  readonly #listeners: (ListenerAddress | undefined)[]

  /**
   * Connects to the process that serves now.
   *
   * @returns `undefined` if there is none
   * @throws {WsTunnelError} `WST_ERR_HANDOVER` if it does not hand over to this process
   */
  static async connect(path: string): Promise<Taker | undefined> {
    const socket = await connectTo(path)
    if (socket === undefined) return undefined
    const giver: Giver = new MessageStream(socket)
    try {
      checkUser(socket, path)
      await giver.send({ type: 'hello', version: VERSION, pid: process.pid })
      const { token, listeners, state } = await giver.receive('welcome')
      const passing = await connectTo(path)
      if (passing === undefined) throw failure(`${path} does not accept a second connection`)
      checkUser(passing, path)
      passing.on('error', () => {})
      passing.write(`${JSON.stringify({ type: 'descriptors', token } satisfies TakerMessage)}\n`)
      await giver.receive('connected')
      publishStep('taker', 'connected')
      return new Taker(giver, passing, listeners, state)
    } catch (error) {
      giver.close()
      // It has died meanwhile, so this process is the first one.
      if (!(await isRunning(path))) return undefined
      if (error instanceof WsTunnelError) throw error
      throw failure(`a message is malformed: ${(error as Error).message}`)
    }
  }

  private constructor(giver: Giver, passing: Socket, listeners: readonly ListenerAddress[], state: State) {
    this.#giver = giver
    this.#passing = passing
    this.#listeners = [...listeners]
    this.state = state
  }

  /** Takes the listener at an address. @returns its descriptor; `undefined` if the other process has no such listener */
  async takeListener(wanted: ListenOptions): Promise<number | undefined> {
    const index = this.#listeners.findIndex(listener => listener !== undefined && isSame(listener, wanted))
    if (index === -1) return undefined
    this.#listeners[index] = undefined
    await this.#giver.send({ type: 'listener', index })
    await this.#giver.receive('listener')
    const [fd] = this.#receive()
    publishStep('taker', 'listener')
    return fd
  }

  /** Takes the tunnels, until the other process has none that can move. @returns how many came */
  async takeTunnels(): Promise<number> {
    let taken = 0
    await this.#giver.send({ type: 'tunnels' })
    for (;;) {
      // Requests in progress there may take any time. If that process dies, the connection ends.
      const message = await this.#giver.next(0)
      if (message.type === 'done') {
        publishStep('taker', 'done')
        return taken
      }
      if (message.type !== 'offer') throw failure(`expected the message offer or done, got ${message.type}`)
      taken += await this.#takeBatch(message.tunnels)
    }
  }

  close(): void {
    this.#giver.close()
    this.#passing.destroy()
  }

  async #takeBatch(records: readonly TunnelRecord[]): Promise<number> {
    const fds = this.#receive()
    const isComplete = fds.length === 2 * records.length
    const adopted = records.map((record, i) => (isComplete ? adopt(record, fds[2 * i], fds[2 * i + 1]) : undefined))
    if (!isComplete) closeAll(fds)
    let commit: readonly boolean[] = []
    publishStep('taker', 'offer')
    try {
      await this.#giver.send({ type: 'accepted', tunnels: adopted.map(tunnel => tunnel !== undefined) })
      publishStep('taker', 'accepted')
      commit = (await this.#giver.receive('commit')).tunnels
      publishStep('taker', 'commit')
    } finally {
      // Without a commit the tunnels belong to the other process.
      adopted.forEach((tunnel, i) => {
        if (commit[i] === true && tunnel !== undefined) begin(tunnel)
        else tunnel?.engine.destroy()
      })
    }
    publishStep('taker', 'moved')
    return commit.filter(Boolean).length
  }

  #receive(): number[] {
    return this.#native.addon.receiveDescriptors(descriptor(this.#passing) ?? -1)
  }
}

/** Connects without reading. @returns `undefined` if nothing listens there */
function connectTo(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    // The second connection is never read by Node, and `MessageStream` resumes the first one.
    socket.pause()
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (NOT_RUNNING.has(error.code)) resolve(undefined)
      else reject(failure(`${path}: ${error.message}`))
    })
  })
}

async function isRunning(path: string): Promise<boolean> {
  const socket = await connectTo(path)
  socket?.destroy()
  return socket !== undefined
}

/** A process of another user could read the tunnels. */
function checkUser(socket: Socket, path: string): void {
  const fd = descriptor(socket)
  const { addon } = loadNativeAddon() as NativeAddon
  if (fd !== undefined && addon.peerUser(fd) !== process.geteuid?.())
    throw failure(`the process that listens on ${path} runs as another user`)
}

/** Whether a process that listens on `listener` has the listener that `wanted` asks for. Port 0 asks for any. */
function isSame(listener: ListenerAddress, { port, path, host }: ListenOptions): boolean {
  if ('path' in listener) return path === listener.path
  if (path !== undefined || (port !== 0 && Number(port) !== listener.port)) return false
  return host === undefined || !isAddress(host) || !isAddress(listener.host) || host === listener.host
}

const isAddress = (host: string): boolean => /^[\d.]+$|:/.test(host)

function adopt(record: TunnelRecord, clientFd: number | undefined, backendFd: number | undefined): Adopted | undefined {
  const [proxy] = movableProxies().sort((a, b) => b.fits(record) - a.fits(record))
  const fds = [clientFd, backendFd].filter(fd => fd !== undefined)
  try {
    if (proxy === undefined || clientFd === undefined || backendFd === undefined) throw failure('no proxy')
    const fromClient = Buffer.from(record.fromClient, 'base64')
    const fromBackend = Buffer.from(record.fromBackend, 'base64')
    const bytes = { fromClient, fromBackend, ...(record.frames && { frames: Buffer.from(record.frames, 'base64') }) }
    const { done, bytesFromClient, bytesFromBackend, idle } = record
    const moved = { clientFd, backendFd, ...bytes, done, bytesFromClient, bytesFromBackend, idle }
    const engine = NativeEngine.takeOver(moved, record.limits)
    return { engine, record, proxy }
  } catch {
    closeAll(fds)
    return undefined
  }
}

function begin({ engine, record, proxy }: Adopted): void {
  const { past, info, limits } = record
  const tunnel = new OpenTunnel({ adopted: engine, past }, info, limits, { key: record.key })
  proxy.adopt(tunnel, record)
  tunnel.resume()
}

function closeAll(fds: readonly number[]): void {
  for (const fd of fds) closeSync(fd)
}
