import assert from 'node:assert/strict'
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { eventually } from './gate.ts'
import { async } from './pump.ts'
import type { FromChild } from './standstill-child.ts'

/** How long a gateway stands still, ms. */
const STANDSTILL = 2_400

/** How a process stands still. */
export type Kind = 'stopped by SIGSTOP' | 'blocked in its event loop'
export const KINDS: readonly Kind[] = ['stopped by SIGSTOP', 'blocked in its event loop']

/** A gateway in a process that can stand still, with the engine of this run. */
export class ChildGateway {
  readonly child: ChildProcess
  readonly ends: string[] = []
  readonly checks: { ok: boolean; detail: string }[] = []
  port = 0
  opened = 0
  #unblocked = 0

  constructor(t: TestContext, options: object) {
    this.child = fork(new URL('standstill-child.ts', import.meta.url), [JSON.stringify({ async, ...options })])
    this.child.on('message', (message: FromChild) => {
      if ('port' in message) this.port = message.port
      else if ('opened' in message) this.opened++
      else if ('ended' in message) this.ends.push(message.ended)
      else if ('health' in message) this.checks.push(message.health)
      else this.#unblocked++
    })
    t.after(async () => {
      this.child.kill('SIGKILL')
      if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
    })
  }

  /** Makes the process stand still. Calls `during` in the middle of it. */
  async standStill(kind: Kind, during: () => unknown = () => {}): Promise<void> {
    const [seconds, pid] = [String(STANDSTILL / 1_000), String(this.child.pid)]
    let over: Promise<unknown>
    if (kind === 'stopped by SIGSTOP') {
      // The shell continues the process even if this one ends before.
      const shell = spawn('sh', ['-c', 'kill -STOP "$1"; sleep "$2"; kill -CONT "$1"', 'sh', pid, seconds])
      over = once(shell, 'exit')
    } else {
      const before = this.#unblocked
      this.child.send({ block: STANDSTILL })
      over = eventually(() => assert.ok(this.#unblocked > before), 10_000)
    }
    await sleep(STANDSTILL / 2)
    await during()
    await over
  }
}

/** Starts a gateway in a process. The process is killed when the test has ended. */
export async function startChildGateway(t: TestContext, options: Partial<WsTunnelOptions>): Promise<ChildGateway> {
  const gateway = new ChildGateway(t, options)
  await eventually(() => assert.notEqual(gateway.port, 0), 15_000)
  return gateway
}
