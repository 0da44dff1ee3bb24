import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { end, on, runs, tree } from './processes.ts'
import type { Report } from './proxies/serve.ts'
import { haproxy, httpd, nginx } from './servers.ts'
import { CA, type Tls } from './tls.ts'
import type { Workload } from './workloads.ts'

/** A running proxy, in one or more processes. */
export interface Running {
  readonly port: number
  readonly pids: readonly number[]
  /** What the process watches of itself from `watch` to `report`. `undefined` for a proxy that is not one Node process. */
  readonly watcher?: { watch(what: 'delay' | 'garbage'): void; report(): Promise<Report> }
  close(): Promise<void>
}

/** A proxy that the benchmark measures. */
export interface Contestant {
  readonly name: string
  /** Whether it is a Node proxy of another project. */
  readonly peer: boolean
  /** `undefined` if it is not installed. */
  readonly version: string | undefined
  /** Whether it can serve a workload. @default every workload */
  readonly serves?: (workload: Workload) => boolean
  /** @param port shared by several processes. @default a port of its own */
  start(backendPort: number, tls: Tls | undefined, port?: number): Promise<Running>
}

/** The server that ws-tunnel runs on. */
export type Front = 'express' | 'fastify' | 'http'

export const FRONTS: readonly Front[] = ['express', 'fastify', 'http']

const HERE = fileURLToPath(new URL('.', import.meta.url))
const ROOT = fileURLToPath(new URL('..', import.meta.url))

const manifest = (name: string): { version: string } =>
  JSON.parse(readFileSync(join(HERE, `node_modules/${name}/package.json`), 'utf8'))

/**
 * Lists every contestant, installed or not.
 *
 * @param front the server of our own contestants.
 * @param against the folder of another checkout of this project, which then takes part beside this one.
 * @param peers the root of another Debian, whose nginx and HAProxy then take part beside the installed ones.
 */
export function contestants(front: Front, against: string | undefined, peers: string | undefined): Contestant[] {
  const http = ({ name }: Workload): boolean => name.startsWith('http')
  const version = (command: readonly string[], option: string, pattern: RegExp): string | undefined => {
    const [file = '', ...args] = [...command, option]
    return runs(file, args)
      ? pattern.exec(Object.values(spawnSync(file, args, { encoding: 'utf8' })).join('\n'))?.[1]
      : undefined
  }
  // The programs of another Debian run with the loader and the libraries of their root.
  const roots = [{ suffix: '', run: (file: string): string[] => [file] }]
  if (peers !== undefined) {
    const loader = [
      join(peers, 'lib64/ld-linux-x86-64.so.2'),
      '--library-path',
      join(peers, 'usr/lib/x86_64-linux-gnu'),
    ]
    roots.push({ suffix: ' of --peers', run: file => [...loader, join(peers, 'usr/sbin', file)] })
  }
  const httpdVersion = existsSync('/usr/lib/apache2/modules/mod_proxy_wstunnel.so')
    ? version(['apache2'], '-v', /Apache\/([\d.]+)/)
    : undefined
  return [
    {
      name: 'no proxy',
      peer: false,
      version: '',
      serves: ({ tls }) => tls === undefined || tls === 'both',
      start: direct,
    },
    ...checkouts(front, against),
    nodeProxy('http-proxy-middleware', true, manifest('http-proxy-middleware').version),
    nodeProxy('httpxy', true, manifest('httpxy').version),
    nodeProxy('http-proxy-3', true, manifest('http-proxy-3').version),
    {
      ...nodeProxy('@fastify/http-proxy', true, manifest('@fastify/http-proxy').version, 'fastify-http-proxy'),
      serves: ({ tls }) => tls === undefined,
    },
    nodeProxy('pipe()', false, '', 'pipe'),
    { ...nodeProxy('undici on Express', false, manifest('undici').version, 'undici'), serves: http },
    ...['http-proxy-middleware', 'httpxy', 'http-proxy-3'].map(name => ({
      ...nodeProxy(name, true, manifest(name).version, name, ['keep-alive']),
      name: `${name} keep-alive`,
      serves: http,
    })),
    ...roots.flatMap(({ suffix, run }) => {
      const installed = version(run('nginx'), '-v', /nginx\/([\d.]+)/)
      const command = [...run('nginx'), '-c']
      const haproxyVersion = version(run('haproxy'), '-v', /version ([\d.]+)/)
      return [
        server(`nginx${suffix}`, installed, command, (...given) => nginx('', ...given), 2),
        {
          ...server(`nginx 64k buffers${suffix}`, installed, command, (...given) => nginx('64k', ...given), 2),
          serves: (workload: Workload) => !http(workload),
        },
        server(`HAProxy${suffix}`, haproxyVersion, [...run('haproxy'), '-db', '-f'], haproxy),
      ]
    }),
    {
      ...server(
        'httpd wstunnel',
        httpdVersion,
        ['apache2', '-DFOREGROUND', '-f'],
        (port, backend, folder) => httpd(port, backend, folder, 'ws'),
        33,
      ),
      serves: workload => workload.tls === undefined && !http(workload),
    },
    {
      ...server(
        'httpd proxy_http',
        httpdVersion,
        ['apache2', '-DFOREGROUND', '-f'],
        (port, backend, folder) => httpd(port, backend, folder, 'http'),
        7,
      ),
      serves: ({ tls, tunnels }) => tls === undefined && tunnels < 500,
    },
  ]
}

/**
 * This checkout, and the other one as `baseline`, each with both engines. A contestant and its baseline are adjacent,
 * so that one has its turn right after the other.
 */
function checkouts(front: Front, against: string | undefined): Contestant[] {
  const all = [
    { name: 'ws-tunnel', folder: ROOT },
    ...(against === undefined ? [] : [{ name: BASELINE, folder: against }]),
  ]
  return (['javascript', 'offloaded'] as const).flatMap(engine =>
    all.flatMap(({ name, folder }) => {
      const args = [engine, front, folder]
      const full = engine === 'offloaded' ? `${name} offloaded` : name
      const one = nodeProxy(full, false, versionOf(folder, engine), 'ws-tunnel', args)
      return folder === ROOT ? [one, pair(one)] : [one]
    }),
  )
}

/** Two processes that listen on one port with `reusePort`. */
function pair(one: Contestant): Contestant {
  return {
    ...one,
    name: `${one.name} x2`,
    serves: ({ name }) => name === 'connect' || name === 'http',
    start: async backendPort => {
      const port = await freePort()
      const first = await one.start(backendPort, undefined, port)
      try {
        const second = await one.start(backendPort, undefined, port)
        const close = async (): Promise<void> => void (await Promise.all([first.close(), second.close()]))
        return { port, pids: [...first.pids, ...second.pids], close }
      } catch (error) {
        await first.close()
        throw error
      }
    },
  }
}

/** The name of the other checkout's contestants. */
export const BASELINE = 'baseline'

/** The version of a checkout, or `undefined` if it does not have the engine. Another checkout also gets its commit. */
function versionOf(folder: string, engine: 'javascript' | 'offloaded'): string | undefined {
  const file = join(folder, `packages/${engine === 'offloaded' ? 'native' : 'express'}/package.json`)
  if (!existsSync(file)) return undefined
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  if (folder === ROOT) return version
  const { status, stdout } = spawnSync('git', ['-C', folder, 'describe', '--always', '--dirty'], { encoding: 'utf8' })
  return status === 0 ? `${version} ${stdout.trim()}` : version
}

/** No proxy: the client connects to the backend, which shows the limit of the load generator. */
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
  const start = async (backendPort: number, tls: Tls | undefined, shared?: number): Promise<Running> => {
    const [file, rest] = on(0, [process.execPath, join(HERE, `proxies/${program}.ts`), String(backendPort), ...args])
    const env = {
      ...process.env,
      NODE_EXTRA_CA_CERTS: CA,
      ...(tls !== undefined && { TLS: tls }),
      ...(shared !== undefined && { BENCH_PORT: String(shared) }),
    }
    const child = spawn(file, rest, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'], env })
    const { port } = (await message(child, name)) as { port: number }
    return {
      port,
      pids: [child.pid as number],
      watcher: {
        watch: what => void child.send(what),
        report: async () => {
          child.send('report')
          return (await message(child, name)) as Report
        },
      },
      close: () => end(child, 'SIGKILL'),
    }
  }
  return { name, peer, version, start }
}

/** The next message of the child process. */
function message(child: ChildProcess, name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let stderr = ''
    const onText = (text: Buffer): void => {
      stderr += text
    }
    const onExit = (): void => reject(new Error(`${name} ended: ${stderr}`))
    child.stderr?.on('data', onText)
    child.once('exit', onExit)
    child.once('message', received => {
      child.off('exit', onExit)
      child.stderr?.off('data', onText)
      child.stderr?.resume()
      resolve(received)
    })
  })
}

function server(
  name: string,
  version: string | undefined,
  command: readonly string[],
  configuration: (port: number, backendPort: number, folder: string, tls: Tls | undefined) => string,
  processes = 1,
): Contestant {
  const start = async (backendPort: number, tls: Tls | undefined): Promise<Running> => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-bench-'))
    const port = await freePort()
    writeFileSync(join(folder, 'conf'), configuration(port, backendPort, folder, tls))
    const [file, args] = on(0, [...command, join(folder, 'conf')])
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', text => {
      stderr += text
    })
    const close = async (): Promise<void> => {
      await end(child)
      rmSync(folder, { recursive: true, force: true })
    }
    for (let i = 0; !((await accepts(port)) && tree(child.pid as number).length >= processes); i++) {
      if (i < 1000 && child.exitCode === null) await new Promise(resolve => setTimeout(resolve, 10))
      else {
        await close()
        throw new Error(`${name} did not start: ${stderr}`)
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
