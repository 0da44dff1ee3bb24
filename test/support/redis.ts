import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { eventually } from './gate.ts'

/** Whether redis-server of Debian is installed. */
export const hasRedis = (): boolean => execFileSync('redis-server', ['--version']).includes('Redis server')

/** A real Redis at a unix socket that stores nothing on disk. */
export class Redis {
  readonly path: string
  readonly #folder: string
  readonly #settings: string[]
  #process: ChildProcess | undefined

  private constructor(folder: string, settings: string[]) {
    this.#folder = folder
    this.#settings = settings
    this.path = join(folder, 'redis.sock')
  }

  /** @param settings arguments of its command line, such as `--requirepass`. */
  static async start(...settings: string[]): Promise<Redis> {
    const redis = new Redis(await mkdtemp(join(tmpdir(), 'ws-tunnel-redis-')), settings)
    await redis.run()
    return redis
  }

  /** Starts it without data, also after `kill`. */
  async run(): Promise<void> {
    const always = [
      '--port',
      '0',
      '--unixsocket',
      this.path,
      '--dir',
      this.#folder,
      '--save',
      '',
      '--loglevel',
      'warning',
    ]
    this.#process = spawn('redis-server', [...always, ...this.#settings], { stdio: 'ignore' })
    await eventually(() => this.client(() => true), 10_000)
  }

  /** Calls `use` with a client that is connected for this call only. */
  async client<T>(use: (client: ReturnType<typeof createClient>) => T | Promise<T>): Promise<T> {
    const password = this.#settings[this.#settings.indexOf('--requirepass') + 1]
    const socket = { path: this.path, reconnectStrategy: false as const }
    const client = createClient({
      socket,
      ...(this.#settings.includes('--requirepass') && { password: password ?? '' }),
    })
    client.on('error', () => {})
    try {
      await client.connect()
      return await use(client as never)
    } finally {
      if (client.isOpen) client.destroy()
    }
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name)
  }

  async kill(): Promise<void> {
    const exited = this.#process && once(this.#process, 'exit')
    this.#process?.kill('SIGKILL')
    await exited
    this.#process = undefined
  }

  async remove(): Promise<void> {
    if (this.#process !== undefined) await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
