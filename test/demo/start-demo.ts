import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

const SERVER = join(import.meta.dirname, '../../examples/demo/server.ts')

/** The demo as a child process, whose working directory is unrelated to it. */
export interface DemoProcess {
  child: ChildProcessByStdio<null, Readable, Readable>
  /** Everything that it has printed so far. */
  stdout: () => string
  stderr: () => string
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals | null>
  /** Resolves when stdout contains the text. Rejects if the process ends before. */
  printed: (text: string) => Promise<void>
}

/** A demo that listens. */
export interface Demo extends DemoProcess {
  port: number
  origin: string
  /** Ends the process and waits until it has ended. */
  stop: () => Promise<void>
}

/** Starts the demo with this PORT, and does not wait. */
export function runDemo(port: string): DemoProcess {
  const env = { ...process.env, PORT: port }
  const child = spawn(process.execPath, [SERVER], { cwd: tmpdir(), env, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal)
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (stdout.includes(text)) resolve()
      }
      child.stdout.on('data', check)
      exited.then(end => reject(new Error(`ended (${end}) before it printed "${text}":\n${stdout}${stderr}`)))
      check()
    })
  return { child, stdout: () => stdout, stderr: () => stderr, exited, printed }
}

/** Starts the demo on a free port and waits until it listens. */
export async function startDemo(): Promise<Demo> {
  const demo = runDemo('0')
  await demo.printed('Ctrl-C')
  const port = Number(/http:\/\/localhost:(\d+)/.exec(demo.stdout())?.[1])
  const stop = async (): Promise<void> => {
    demo.child.kill('SIGKILL')
    await demo.exited
  }
  return { ...demo, port, origin: `http://127.0.0.1:${port}`, stop }
}
