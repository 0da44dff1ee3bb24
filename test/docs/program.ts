import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type ClientOptions, type RawData, WebSocket } from 'ws'
import { eventually, within } from '../support/gate.ts'
import { ROOT } from './markdown.ts'

/** Longest wait for a program to start, to answer or to end, ms: it is another process on a busy machine. */
const PATIENCE = 15_000

/** A server program in a process of its own. */
export class Program {
  /** All it printed. */
  output = ''
  url = ''
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown[]>

  private constructor(file: string, imports: string[], args: string[]) {
    this.#child = spawn(process.execPath, [...imports.flatMap(path => ['--import', path]), file, ...args], {
      cwd: ROOT,
      env: { ...process.env, PORT: '0' },
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
  static async start(file: string, { imports = [] as string[], args = [] as string[] } = {}): Promise<Program> {
    const program = new Program(file, imports, args)
    const found = await eventually(() => {
      if (program.#child.exitCode !== null) throw new Error(`${file} ended: ${program.output}`)
      return /listening on (https?:\/\/localhost:\d+)/.exec(program.output)?.[1] ?? false
    }, PATIENCE).catch((error: Error) => {
      program.#child.kill('SIGKILL')
      throw new Error(`${file} prints no address: ${program.output}`, { cause: error })
    })
    program.url = String(found)
    return program
  }

  /** `ws://` or `wss://` with a path. */
  socketUrl(path: string): string {
    return this.url.replace('http', 'ws') + path
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE) })
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGUSR2'): void {
    this.#child.kill(name)
  }

  /** Waits for the end it comes to by itself: 0, and nothing on the way that Node warns of. */
  async endsCleanly(): Promise<void> {
    const exit = await within(PATIENCE, `the end of a program that printed ${this.output}`, this.#exit)
    assert.deepEqual(exit, [0, null], this.output)
    assert.doesNotMatch(this.output, /(?<!Experimental)Warning/)
  }

  /** Ends it whatever it does; for cleaning up. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** An open WebSocket, and the headers of its 101. */
export interface Conversation {
  headers: Record<string, string | string[] | undefined>
  /** Sends a message and waits for the answer. */
  say(message: string): Promise<string>
  close(): Promise<void>
}

/** Opens a WebSocket; a refusal rejects with `<status> <body>`. */
export async function converse(url: string, options: ClientOptions = {}): Promise<Conversation> {
  const socket = new WebSocket(url, { handshakeTimeout: PATIENCE, ...options })
  let headers: Conversation['headers'] = {}
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
    async say(message) {
      const answer = once(socket, 'message') as Promise<[RawData]>
      socket.send(message)
      return String((await within(PATIENCE, `an answer to ${message}`, answer))[0])
    },
    async close() {
      const closed = once(socket, 'close')
      socket.close()
      await within(PATIENCE, 'the end of a WebSocket', closed)
    },
  }
}

/** One message and its answer on a WebSocket of its own. */
export async function ask(url: string, message: string, options: ClientOptions = {}): Promise<string> {
  const conversation = await converse(url, options)
  const answer = await conversation.say(message)
  await conversation.close()
  return answer
}
