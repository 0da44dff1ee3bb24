import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { answers, end, on, tree } from './processes.ts'
import { haproxy, httpd, nginx } from './servers.ts'

/** A proxy that runs, in a process of its own. */
export interface Running {
  readonly port: number
  readonly pids: readonly number[]
  /** Delay of the event loop since `watch`, ms; `undefined` where there is none to measure. */
  readonly delay?: { watch(): void; report(): Promise<{ p50: number; p99: number }> }
  close(): Promise<void>
}

/** Who takes part. */
export interface Contestant {
  readonly name: string
  /** One of Node's proxies that is not ours. */
  readonly peer: boolean
  readonly version: string | undefined
  /** Workloads it can serve. @default all */
  readonly serves?: (workload: string) => boolean
  start(backendPort: number): Promise<Running>
}

const HERE = fileURLToPath(new URL('.', import.meta.url))
const OFFLOADED = '@ws-tunnel/native'

const manifest = (name: string): { version: string } =>
  JSON.parse(readFileSync(join(HERE, `node_modules/${name}/package.json`), 'utf8'))

/** Everyone, whether installed (with a version) or not. */
export function contestants(): Contestant[] {
  const http = (workload: string): boolean => workload === 'http'
  const version = (file: string, args: string[], pattern: RegExp): string | undefined =>
    answers(file, args)
      ? pattern.exec(execFileSync('sh', ['-c', `${file} ${args.join(' ')} 2>&1`]).toString())?.[1]
      : undefined
  const nginxVersion = version('nginx', ['-v'], /nginx\/([\d.]+)/)
  const haproxyVersion = version('haproxy', ['-v'], /version ([\d.]+)/)
  const httpdVersion = existsSync('/usr/lib/apache2/modules/mod_proxy_wstunnel.so')
    ? version('apache2', ['-v'], /Apache\/([\d.]+)/)
    : undefined
  const native = existsSync(join(HERE, `node_modules/${OFFLOADED}/package.json`))
  return [
    { name: 'no proxy', peer: false, version: '', start: direct },
    nodeProxy('ws-tunnel', false, manifest('@ws-tunnel/express').version, 'ws-tunnel', ['javascript']),
    nodeProxy('ws-tunnel offloaded', false, native ? manifest(OFFLOADED).version : undefined, 'ws-tunnel', [
      'offloaded',
    ]),
    nodeProxy('http-proxy-middleware', true, manifest('http-proxy-middleware').version),
    nodeProxy('httpxy', true, manifest('httpxy').version),
    nodeProxy('http-proxy-3', true, manifest('http-proxy-3').version),
    nodeProxy('@fastify/http-proxy', true, manifest('@fastify/http-proxy').version, 'fastify-http-proxy'),
    nodeProxy('pipe()', false, '', 'pipe'),
    { ...nodeProxy('undici on Express', false, manifest('undici').version, 'undici'), serves: http },
    ...['http-proxy-middleware', 'httpxy', 'http-proxy-3'].map(name => ({
      ...nodeProxy(name, true, manifest(name).version, name, ['keep-alive']),
      name: `${name} keep-alive`,
      serves: http,
    })),
    server('nginx', nginxVersion, ['nginx', '-c'], (port, backend, folder) => nginx(port, backend, folder, ''), 2),
    {
      ...server(
        'nginx 64k buffers',
        nginxVersion,
        ['nginx', '-c'],
        (port, backend, folder) => nginx(port, backend, folder, '64k'),
        2,
      ),
      serves: workload => !http(workload),
    },
    server('HAProxy', haproxyVersion, ['haproxy', '-db', '-f'], haproxy),
    {
      ...server(
        'httpd wstunnel',
        httpdVersion,
        ['apache2', '-DFOREGROUND', '-f'],
        (...given) => httpd(...given, 'ws'),
        33,
      ),
      serves: workload => !http(workload),
    },
    {
      ...server(
        'httpd proxy_http',
        httpdVersion,
        ['apache2', '-DFOREGROUND', '-f'],
        (...given) => httpd(...given, 'http'),
        7,
      ),
      serves: workload => workload !== 'tunnels-500' && workload !== 'tunnels-5000',
    },
  ]
}

/** The client connects to the backend itself: what the load generator can do at most. */
async function direct(backendPort: number): Promise<Running> {
  return { port: backendPort, pids: [], close: async () => {} }
}

function nodeProxy(
  name: string,
  peer: boolean,
  version: string | undefined,
  program: string = name,
  args: readonly string[] = [],
): Contestant {
  const start = async (backendPort: number): Promise<Running> => {
    const [file, rest] = on(0, [process.execPath, join(HERE, `proxies/${program}.ts`), String(backendPort), ...args])
    const child = spawn(file, rest, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    const { port } = (await answer(child, name)) as { port: number }
    return {
      port,
      pids: [child.pid as number],
      delay: {
        watch: () => void child.send('watch'),
        report: async () => {
          child.send('report')
          return (await answer(child, name)) as { p50: number; p99: number }
        },
      },
      close: () => end(child, 'SIGKILL'),
    }
  }
  return { name, peer, version, start }
}

/** The child's next message. */
function answer(child: ChildProcess, name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let complaint = ''
    const onText = (text: Buffer): void => {
      complaint += text
    }
    const onExit = (): void => reject(new Error(`${name} ended: ${complaint}`))
    child.stderr?.on('data', onText)
    child.once('exit', onExit)
    child.once('message', message => {
      child.off('exit', onExit)
      child.stderr?.off('data', onText)
      child.stderr?.resume()
      resolve(message)
    })
  })
}

function server(
  name: string,
  version: string | undefined,
  command: readonly string[],
  configuration: (port: number, backendPort: number, folder: string) => string,
  processes = 1,
): Contestant {
  const start = async (backendPort: number): Promise<Running> => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-bench-'))
    const port = await freePort()
    writeFileSync(join(folder, 'conf'), configuration(port, backendPort, folder))
    const [file, args] = on(0, [...command, join(folder, 'conf')])
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let complaint = ''
    child.stderr.on('data', text => {
      complaint += text
    })
    const close = async (): Promise<void> => {
      await end(child)
      rmSync(folder, { recursive: true, force: true })
    }
    for (let i = 0; !((await accepts(port)) && tree(child.pid as number).length >= processes); i++) {
      if (i < 1000 && child.exitCode === null) await new Promise(resolve => setTimeout(resolve, 10))
      else {
        await close()
        throw new Error(`${name} did not start: ${complaint}`)
      }
    }
    return { port, pids: tree(child.pid as number), close }
  }
  return { name, peer: false, version, start }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await new Promise<boolean>(resolve => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  socket.destroy()
  return connected
}
