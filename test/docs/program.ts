import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type ClientOptions, type RawData, WebSocket } from 'ws'
import { eventually, within } from '../support/gate.ts'
import { ROOT } from './markdown.ts'

/** Limit for a program to start, to respond or to end, ms. It is long because the program is another process on a busy machine. */
const TIMEOUT = 15_000

/** A server program in a separate process. */
export class Program {
  /** Everything it has printed. */
  output = ''
  url = ''
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown[]>

  private constructor(file: string, imports: string[], args: string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [...imports.flatMap(path => ['--import', path]), file, ...args], {
      cwd: ROOT,
      env: { ...process.env, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#exit = once(this.#child, 'exit')
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
  }

  /** Starts a program and waits until it has printed `listening on <url>`. */
  static async start(
    file: string,
    { imports = [] as string[], args = [] as string[], env = {} as NodeJS.ProcessEnv } = {},
  ): Promise<Program> {
    const program = new Program(file, imports, args, env)
    const found = await eventually(() => {
      if (program.#child.exitCode !== null) throw new Error(`${file} ended: ${program.output}`)
      return /listening on (https?:\/\/localhost:\d+)/.exec(program.output)?.[1] ?? false
    }, TIMEOUT).catch((error: Error) => {
      program.#child.kill('SIGKILL')
      throw new Error(`${file} printed no address: ${program.output}`, { cause: error })
    })
    program.url = String(found)
    return program
  }

  /** Its `ws://` or `wss://` URL with a path. */
  socketUrl(path: string): string {
    return this.url.replace('http', 'ws') + path
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT) })
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGUSR2'): void {
    this.#child.kill(name)
  }

  /** Waits until it ends by itself. Its exit code must be 0, and it must not have printed a warning of Node. */
  async endsCleanly(): Promise<void> {
    const exit = await within(TIMEOUT, `the end of a program that printed ${this.output}`, this.#exit)
    assert.deepEqual(exit, [0, null], this.output)
    assert.doesNotMatch(this.output, /(?<!Experimental)Warning/)
  }

  /** Kills it, to clean up. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** An open WebSocket with the headers of its 101. */
export interface OpenSocket {
  headers: Record<string, string | string[] | undefined>
  /** Sends a message and resolves with the next message that arrives. */
  send(message: string): Promise<string>
  close(): Promise<void>
}

/** Opens a WebSocket. Rejects with `<status> <body>` if it is refused. */
export async function openSocket(url: string, options: ClientOptions = {}): Promise<OpenSocket> {
  const socket = new WebSocket(url, { handshakeTimeout: TIMEOUT, ...options })
  let headers: OpenSocket['headers'] = {}
  socket.once('upgrade', response => {
    headers = response.headers
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
    socket.once('unexpected-response', async (_request, response) => {
      let body = ''
      for await (const chunk of response.setEncoding('utf8')) body += chunk
      reject(new Error(`${response.statusCode} ${body}`))
    })
  })
  return {
    headers,
    async send(message) {
      const reply = once(socket, 'message') as Promise<[RawData]>
      socket.send(message)
      return String((await within(TIMEOUT, `a reply to ${message}`, reply))[0])
    },
    async close() {
      const closed = once(socket, 'close')
      socket.close()
      await within(TIMEOUT, 'the end of a WebSocket', closed)
    },
  }
}

/** Sends one message over a new WebSocket, and resolves with the reply. */
export async function sendMessage(url: string, message: string, options: ClientOptions = {}): Promise<string> {
  const socket = await openSocket(url, options)
  const reply = await socket.send(message)
  await socket.close()
  return reply
}
