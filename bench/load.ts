import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { end, on, runs } from './processes.ts'

const SOURCES = ['load.c', 'websocket.c', 'websocket.h'].map(name =>
  fileURLToPath(new URL(`load/${name}`, import.meta.url)),
)
const FOLDER = fileURLToPath(new URL('.cache', import.meta.url))
const PROGRAM = `${FOLDER}/load`

/** What the load program reports of one window. */
export interface Done {
  readonly operations: number
  readonly bytes: number
  readonly seconds: number
  /** CPU time of the proxy's processes, user and system, seconds. */
  readonly cpu: number
  /** CPU time of the load program, seconds. A value near `seconds` means that the load program is the limit. */
  readonly load: number
  readonly errors: number
  readonly error: string
}

/** Compiles the load generator with its backend, unless the program is newer than its sources. */
export function buildLoad(): void {
  const built = existsSync(PROGRAM) ? statSync(PROGRAM).mtimeMs : 0
  if (SOURCES.every(source => statSync(source).mtimeMs < built)) return
  if (!runs('gcc', ['--version']))
    throw new Error('The load generator needs gcc (Debian: apt-get install gcc libc6-dev)')
  mkdirSync(FOLDER, { recursive: true })
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-o', PROGRAM, ...SOURCES.filter(source => source.endsWith('.c'))], {
    stdio: 'inherit',
  })
}

/** A process of the load generator, which is also the backend. */
export class Load {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly port: number

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, port: number) {
    this.#child = child
    this.#lines = lines
    this.port = port
  }

  static async start(): Promise<Load> {
    const [file, args] = on(1, [PROGRAM])
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const [, port] = (await next(lines)).split(' ')
    return new Load(child, lines, Number(port))
  }

  /** Opens the tunnels through the proxy, and resolves to the seconds that this took. */
  async open(workload: string, port: number, tunnels: number): Promise<number> {
    this.#child.stdin?.write(`run ${workload} ${port} ${tunnels}\n`)
    return Number((await next(this.#lines)).split(' ')[1])
  }

  /** Warms up and measures, for that many ms each. The load generator is stopped before and after. */
  async measure(pids: readonly number[], warm: number, window: number): Promise<Done> {
    return this.#run(`go ${warm} ${window} ${pids.join(' ')}`)
  }

  /** Measures that many operations without warming up. */
  async first(pids: readonly number[], count: number): Promise<Done> {
    return this.#run(`first ${count} ${pids.join(' ')}`)
  }

  async #run(command: string): Promise<Done> {
    this.#child.kill('SIGCONT')
    this.#child.stdin?.write(`${command}\n`)
    const line = await next(this.#lines)
    this.#child.kill('SIGSTOP')
    return JSON.parse(line.replace('done ', ''))
  }

  close(): Promise<void> {
    return end(this.#child, 'SIGKILL')
  }
}

/** The next line. It fails after 30 s, because a proxy may lose a request. No step of a run takes that long. */
async function next(lines: AsyncIterator<string>): Promise<string> {
  const waiting = new AbortController()
  const line = await Promise.race([
    lines.next(),
    new Promise<never>((_resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no line from the load generator for 30 s')), 30_000)
      waiting.signal.addEventListener('abort', () => clearTimeout(timer))
    }),
  ]).finally(() => waiting.abort())
  if (line.done) throw new Error('the load generator ended')
  return line.value
}
