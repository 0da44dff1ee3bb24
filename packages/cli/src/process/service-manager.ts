import { execFile } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { addon } from '@ws-tunnel/native'

/**
 * Tells the service manager about this process, as `sd_notify` does: `READY=1`, `STOPPING=1`, `WATCHDOG=1`. Node has no
 * datagram sockets of the unix family. The native addon sends the datagram; without it the program `systemd-notify`
 * does, and the unit then needs `NotifyAccess=all`.
 */
export class ServiceManager {
  readonly #socket: string | undefined
  /** Time between two signs of life, ms; `undefined` without a watchdog. */
  readonly watchdogInterval: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(env: NodeJS.ProcessEnv = process.env) {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = env
    this.#socket = socket === undefined || socket === '' ? undefined : socket
    const isOurs = pid === undefined || pid === '' || Number(pid) === process.pid
    // Half of the time, as sd_watchdog_enabled(3) recommends.
    this.watchdogInterval = isOurs && Number(usec) > 0 ? Number(usec) / 2_000 : undefined
  }

  notify(...lines: string[]): void {
    if (this.#socket === undefined) return
    try {
      if (addon === undefined) execFile('systemd-notify', lines, () => {})
      else addon.notify(this.#socket, lines.join('\n'))
    } catch {
      // The service manager is gone, or does not read. The server goes on.
    }
  }

  /** The server is ready: after the start, and after a reload. */
  ready(status: string): void {
    this.notify('READY=1', `STATUS=${status}`)
  }

  /** A reload begins. `Type=notify-reload` needs the time on the monotonic clock. */
  reloading(): void {
    this.notify('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`)
  }

  stopping(): void {
    this.notify('STOPPING=1')
  }

  /** Gives a sign of life at each interval at which `isAlive` resolves to true. */
  watch(isAlive: () => boolean | Promise<boolean>): void {
    if (this.watchdogInterval === undefined || this.#socket === undefined) return
    this.#timer = setInterval(async () => {
      if (await isAlive()) this.notify('WATCHDOG=1')
    }, this.watchdogInterval)
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

/** A listening socket that the service manager opened. */
export interface InheritedSocket {
  readonly fd: number
  /** The port of a TCP socket. */
  readonly port: number | undefined
  /** The path of a unix socket. */
  readonly path: string | undefined
}

/** The first descriptor of a socket that a service manager passes on. */
const FIRST_FD = 3

/** The variable in which a primary process passes {@link InheritedSocket}s on to its workers. */
export const INHERITED = 'WS_TUNNEL_INHERITED'

/** The sockets of LISTEN_FDS. They are meant for the process with the id LISTEN_PID. */
export function inheritedSockets(env: NodeJS.ProcessEnv = process.env): InheritedSocket[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, [INHERITED]: passed } = env
  if (passed !== undefined) return JSON.parse(passed)
  if (Number(pid) !== process.pid) return []
  return Array.from({ length: Number(count) || 0 }, (_, i) => describe(FIRST_FD + i))
}

/** Finds the address of a descriptor. Node can only tell the address of a server that owns it. */
function describe(fd: number): InheritedSocket {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  if (inode === undefined) throw new Error(`descriptor ${fd} of LISTEN_FDS is not a socket`)
  const lines = (table: string): string[][] =>
    readFileSync(`/proc/self/net/${table}`, 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
  for (const table of ['tcp', 'tcp6']) {
    // Columns: number, local address and port in hexadecimal, ..., inode.
    const local = lines(table).find(columns => columns[9] === inode)?.[1]
    if (local !== undefined) return { fd, port: Number.parseInt(local.split(':')[1] as string, 16), path: undefined }
  }
  return { fd, port: undefined, path: lines('unix').find(columns => columns[6] === inode)?.[7] }
}
