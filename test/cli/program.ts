import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, within } from '../support/gate.ts'

const MAIN = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url))

/** Longest wait for a program to start, to print or to end, ms. It is long because the machine may be busy. */
const TIMEOUT = 60_000

/** `ws-tunnel` as a child process. */
export class Program {
  stdout = ''
  stderr = ''
  readonly #child: ChildProcess
  readonly #exit: Promise<[code: number | null, signal: string | null]>

  /**
   * @param output where it writes: a descriptor for standard output and standard error, or pipes that this object reads
   * @param options of the child process, such as its user
   */
  constructor(t: TestContext, args: string[], output: number | 'pipe' = 'pipe', options: SpawnOptions = {}) {
    this.#child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', output, output], ...options })
    this.#exit = once(this.#child, 'close') as Promise<[number | null, string | null]>
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    t.after(async () => {
      this.#child.kill('SIGKILL')
      await this.#exit
    })
  }

  /** The ports where it listens, in the order of its listeners. */
  async ports(count = 1): Promise<number[]> {
    return eventually(() => {
      const found = Array.from(this.stderr.matchAll(/listening on https?:\/\/\S+:(\d+)$/gm), ([, port]) => Number(port))
      if (found.length < count) throw new Error(`${found.length} of ${count} listeners: ${this.stderr}`)
      return found
    }, TIMEOUT)
  }

  /** Waits until stderr matches. */
  async prints(pattern: RegExp): Promise<void> {
    await eventually(() => {
      if (!pattern.test(this.stderr)) throw new Error(`${pattern} is not in: ${this.stderr}`)
    }, TIMEOUT)
  }

  /** Waits until stdout has that many lines, and returns them. */
  async lines(count: number): Promise<string[]> {
    return eventually(() => {
      const lines = this.stdout.split('\n').slice(0, -1)
      if (lines.length < count) throw new Error(`${lines.length} of ${count} lines: ${this.stdout}`)
      return lines
    }, TIMEOUT)
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  get pid(): number {
    return this.#child.pid as number
  }

  /** Stops reading its standard output, as a pager does. */
  pauseOutput(): void {
    this.#child.stdout?.pause()
  }

  resumeOutput(): void {
    this.#child.stdout?.resume()
  }

  /** Ends its standard input, with this text. */
  input(text: string): void {
    this.#child.stdin?.end(text)
  }

  /** Waits until the program ends, although another process has its streams, and returns its exit code. */
  async exitAlone(): Promise<number | null> {
    if (this.#child.exitCode === null) await within(TIMEOUT, `the end of ${this.stderr}`, once(this.#child, 'exit'))
    return this.#child.exitCode
  }

  /** Waits until the program ends by itself, and returns its exit code. */
  async exit(): Promise<number | null> {
    const [code] = await within(TIMEOUT, `the end of a program that printed ${this.stdout}${this.stderr}`, this.#exit)
    return code
  }
}

/** Runs the program to its end. */
export async function ended(t: TestContext, ...args: string[]): Promise<{ code: number | null } & Program> {
  const program = new Program(t, args)
  return Object.assign(program, { code: await program.exit() })
}

/** Makes a folder with these files. Returns the function that gives the path of a name in it. */
export async function folder(t: TestContext, files: Record<string, string>): Promise<(name: string) => string> {
  const directory = await mkdtemp(join(tmpdir(), 'ws-tunnel-cli-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  return name => join(directory, name)
}
