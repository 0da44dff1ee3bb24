import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { end, on, runs } from './processes.ts'
import { CERTIFICATE, KEY, type Tls } from './tls.ts'

const SOURCES = ['load.c', 'websocket.c', 'websocket.h', 'tls.c', 'tls.h'].map(name =>
  fileURLToPath(new URL(`load/${name}`, import.meta.url)),
)
const FOLDER = fileURLToPath(new URL('.cache', import.meta.url))
/** Without TLS, the program needs no OpenSSL. */
const programOf = (tls: boolean): string => `${FOLDER}/load${tls ? '-tls' : ''}`

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

/**
 * Compiles the load generator with its backend, unless the program is newer than its sources.
 *
 * @param tls for workloads with TLS
 */
export function buildLoad(tls: boolean): void {
  const program = programOf(tls)
  const built = existsSync(program) ? statSync(program).mtimeMs : 0
  if (SOURCES.every(source => statSync(source).mtimeMs < built)) return
  if (!runs('gcc', ['--version']))
    throw new Error('The load generator needs gcc (Debian: apt-get install gcc libc6-dev)')
  if (tls && !hasOpenSsl()) throw new Error('TLS needs the headers of OpenSSL (Debian: apt-get install libssl-dev)')
  mkdirSync(FOLDER, { recursive: true })
  const more = tls ? ['-DWITH_TLS', '-lssl', '-lcrypto'] : []
  execFileSync(
    'gcc',
    ['-O2', '-Wall', '-Wextra', '-o', program, ...SOURCES.filter(source => source.endsWith('.c')), ...more],
    { stdio: 'inherit' },
  )
}

/** Whether the load generator can be compiled with TLS. */
export function hasOpenSsl(): boolean {
  const { status } = spawnSync('gcc', ['-E', '-'], {
    input: '#include <openssl/ssl.h>\n',
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  return status === 0
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

  /** @param tls the end of the load generator that has TLS */
  static async start(tls: Tls | undefined): Promise<Load> {
    const [file, args] = on(1, [programOf(tls !== undefined), ...(tls === undefined ? [] : [tls, CERTIFICATE, KEY])])
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
