import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { BalancerOptions, MemberOptions, WsTunnelOptions } from '@ws-tunnel/core'
import { within } from '../gate.ts'
import type { MemberView, Order, Report } from './gateway-process.ts'

/** Longest wait for a process to start, to respond or to end, ms. */
const TIMEOUT = 15_000

const EXEC_ARGV = ['--disable-warning=ExperimentalWarning']

/** Ends a process, whatever it does. */
async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const exit = once(child, 'exit')
  child.kill(signal)
  const [code] = await within(TIMEOUT, `process ${child.pid} to end`, exit)
  return code
}

/** A backend in a separate process, which can be ended and started again at the same port. */
export class BackendProcess {
  readonly name: string
  port = 0
  #child: ChildProcess | undefined

  constructor(name: string) {
    this.name = name
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/`
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = fork(new URL('backend-process.ts', import.meta.url), [this.name, String(this.port)], {
      execArgv: EXEC_ARGV,
    })
    this.#child = child
    const [port] = await within(TIMEOUT, `backend ${this.name}`, once(child, 'message'))
    this.port = port
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    this.#child?.kill(name)
  }

  /** Resolves when the process has exited. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.#child !== undefined) await end(this.#child, signal)
  }
}

/** A change of a member's state, as the gateway saw it. */
export type Change = Extract<Report, { kind: 'change' }>

/** Backends and a gateway that balances over them, each in its own process. */
export class Cluster {
  readonly backends: readonly BackendProcess[]
  /** Every change of a member, in order. */
  readonly changes: Change[] = []
  port = 0
  #gateway: ChildProcess | undefined

  constructor(count: number) {
    this.backends = Array.from({ length: count }, (_, i) => new BackendProcess(`backend-${i + 1}`))
  }

  /**
   * @param balancer without members, which are the backends
   * @param member the options of the n-th member
   */
  async start(
    balancer: Omit<BalancerOptions, 'members'>,
    member: (n: number) => Omit<MemberOptions, 'url'>,
  ): Promise<void> {
    await Promise.all(this.backends.map(backend => backend.start()))
    const options: WsTunnelOptions = {
      routes: [{ path: '/', target: 'balancer://b/' }],
      balancers: { b: { ...balancer, members: this.backends.map(({ url }, n) => ({ ...member(n), url })) } },
    }
    this.#gateway = fork(new URL('gateway-process.ts', import.meta.url), [JSON.stringify(options)], {
      execArgv: EXEC_ARGV,
    })
    this.#gateway.on('message', (report: Report) => {
      if (report.kind === 'change') this.changes.push(report)
    })
    this.port = (await this.#receive('port')).port
  }

  async #receive<K extends Report['kind']>(kind: K): Promise<Extract<Report, { kind: K }>> {
    const gateway = this.#gateway as ChildProcess
    const received = new Promise<Extract<Report, { kind: K }>>(resolve => {
      const listener = (report: Report): void => {
        if (report.kind !== kind) return
        gateway.off('message', listener)
        resolve(report as Extract<Report, { kind: K }>)
      }
      gateway.on('message', listener)
    })
    return within(TIMEOUT, `the gateway's ${kind}`, received)
  }

  async #order<K extends Report['kind']>(order: Order, reply: K): Promise<Extract<Report, { kind: K }>> {
    const received = this.#receive(reply)
    this.#gateway?.send(order)
    return received
  }

  async member({ url }: BackendProcess): Promise<MemberView> {
    const { members } = await this.#order({ kind: 'members' }, 'members')
    const view = members.find(member => member.url === url)
    if (view === undefined) throw new Error(`${url} is no member`)
    return view
  }

  /** Sets letters of a member's status, as an operator does. */
  async change({ url }: BackendProcess, status: string): Promise<void> {
    await this.#order({ kind: 'change', url, status }, 'changed')
  }

  /** Whether the gateway had taken the member out at that time. */
  wasOut({ url }: BackendProcess, at: number): boolean {
    const last = this.changes.findLast(change => change.url === url && change.at <= at)
    return last !== undefined && !last.usable
  }

  /** @returns the exit code of the gateway, which must end by itself after its close. */
  async stop(): Promise<number | null> {
    try {
      return this.#gateway === undefined ? null : await end(this.#gateway, 'SIGTERM')
    } finally {
      this.#gateway?.kill('SIGKILL')
      await Promise.all(this.backends.map(backend => backend.stop('SIGKILL')))
    }
  }
}
