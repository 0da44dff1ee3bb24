import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { haproxy, httpd, nginx } from '../bench/servers.ts'
import { echo, openBackend } from '../test/support/backend.ts'
import { openTunnel, type RawClient } from '../test/support/client.ts'
import { eventually } from '../test/support/gate.ts'
import type { HandoverProcess } from '../test/support/handover/processes.ts'
import { Succession } from '../test/support/handover/processes.ts'
import { printTable } from '../test/support/kill/table.ts'

// What live tunnels feel of a graceful upgrade, here and with nginx, HAProxy and httpd: five upgrades, before each of which 40 tunnels
// open and stay. Then the tunnels, the processes that still run, and their memory are counted.

const UPGRADES = 5
const TUNNELS = 40

interface Contestant {
  readonly name: string
  /** What the command lines of its processes contain. */
  readonly mark: () => string
  start(port: number, backend: number): Promise<void>
  upgrade(): Promise<void>
  stop(): Promise<void>
}

const folder = mkdtempSync(join(tmpdir(), 'graceful-'))

function run(command: string, ...args: string[]): ChildProcess {
  return spawn(command, args, { stdio: 'ignore' })
}

/** The processes with a text in their command line, and their descendants. */
function processesOf(text: string): number[] {
  const found = new Set<number>()
  const parents = new Map<number, number>()
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!(pid > 0) || pid === process.pid) continue
    try {
      parents.set(pid, Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]))
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text)) found.add(pid)
    } catch {
      // It has ended meanwhile.
    }
  }
  for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid)
  return [...found]
}

/** Memory of the processes, with their shares of what several use, in MB. */
function memoryOf(pids: readonly number[]): number {
  const kib = pids.map(pid => Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0))
  return Math.round(kib.reduce((sum, each) => sum + each, 0) / 1024)
}

async function end(mark: string): Promise<void> {
  for (const pid of processesOf(mark)) process.kill(pid, 'SIGKILL')
  await eventually(() => processesOf(mark).length === 0, 5_000)
}

const pidIn = (file: string): number => Number(readFileSync(file, 'utf8'))

function place(name: string): string {
  const at = join(folder, name)
  mkdirSync(at)
  return at
}

const NGINX: Contestant = {
  name: 'nginx (reload)',
  mark: () => join(folder, 'nginx'),
  async start(port, backend) {
    const at = place('nginx')
    writeFileSync(join(at, 'nginx.conf'), nginx('', port, backend, at, undefined).replace('daemon off', 'daemon on'))
    run('/usr/sbin/nginx', '-c', join(at, 'nginx.conf'))
  },
  async upgrade() {
    // A reload: nginx refuses a second binary upgrade while the process before the first one has tunnels.
    process.kill(pidIn(join(folder, 'nginx', 'nginx.pid')), 'SIGHUP')
    await delay(500)
  },
  stop: () => end(join(folder, 'nginx')),
}

let current: ChildProcess | undefined
const HAPROXY: Contestant = {
  name: 'HAProxy',
  mark: () => join(folder, 'haproxy'),
  async start(port, backend) {
    const at = place('haproxy')
    writeFileSync(join(at, 'haproxy.cfg'), haproxy(port, backend, at, undefined))
    current = run('haproxy', '-f', join(at, 'haproxy.cfg'))
  },
  async upgrade() {
    const old = current?.pid
    current = run('haproxy', '-f', join(folder, 'haproxy', 'haproxy.cfg'), '-sf', String(old))
    await delay(500)
  },
  stop: () => end(join(folder, 'haproxy')),
}

const HTTPD: Contestant = {
  name: 'httpd',
  mark: () => join(folder, 'httpd'),
  async start(port, backend) {
    const at = place('httpd')
    writeFileSync(join(at, 'httpd.conf'), httpd(port, backend, at, 'ws'))
    run('apache2', '-DFOREGROUND', '-f', join(at, 'httpd.conf'))
  },
  async upgrade() {
    process.kill(pidIn(join(folder, 'httpd', 'pid')), 'SIGUSR1')
    await delay(500)
  },
  stop: () => end(join(folder, 'httpd')),
}

const cleanUps: (() => Promise<void>)[] = []
let gateways: Succession
let gateway: HandoverProcess
const OURS: Contestant = {
  name: 'ws-tunnel',
  mark: () => gateways.path,
  async start(port, backend) {
    const after = (cleanUp: () => Promise<void>): void => void cleanUps.push(cleanUp)
    const options = { target: `ws://127.0.0.1:${backend}/` }
    gateways = await Succession.create({ after } as never, { framework: 'node:http', options, at: { port } })
    gateway = await gateways.next()
  },
  async upgrade() {
    const old = gateway
    gateway = await gateways.next()
    await old.exited
  },
  async stop() {
    for (const cleanUp of cleanUps) await cleanUp()
  },
}

/** Whether a tunnel still carries bytes. */
async function lives(client: RawClient): Promise<boolean> {
  if (client.ended || client.socket.destroyed) return false
  client.send('x')
  return client.readExact(1).then(
    () => true,
    () => false,
  )
}

const rows: Record<string, string | number>[] = []
const backend = await openBackend(echo())
try {
  for (const contestant of [OURS, NGINX, HAPROXY, HTTPD]) {
    const port = 20_000 + Math.floor(Math.random() * 9_000)
    await contestant.start(port, backend.port)
    const clients: RawClient[] = []
    const open = (): Promise<RawClient> => eventually(async () => (await openTunnel(port, '/')).client, 10_000)
    clients.push(await open())
    let failed = 0
    for (let i = 0; i < UPGRADES; i++) {
      while (clients.length < (i + 1) * TUNNELS) clients.push(await open())
      const upgrading = contestant.upgrade()
      let done = false
      void upgrading.finally(() => {
        done = true
      })
      while (!done) {
        try {
          ;(await openTunnel(port, '/')).client.destroy()
        } catch {
          failed++
        }
      }
      await upgrading
    }
    await delay(2_000)
    const alive = (await Promise.all(clients.map(lives))).filter(Boolean).length
    const processes = processesOf(contestant.mark())
    rows.push({
      server: contestant.name,
      'live tunnels before': clients.length,
      after: alive,
      'failed connects': failed,
      'processes left': processes.length,
      'memory, MB': memoryOf(processes),
    })
    for (const client of clients) client.destroy()
    await contestant.stop()
  }
  printTable(rows)
} finally {
  for (const { mark } of [NGINX, HAPROXY, HTTPD]) await end(mark())
  await backend.close()
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)
