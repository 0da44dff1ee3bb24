import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { eventually, freePort } from './gate.ts'
import { connectClient } from './harness.ts'

const HAPROXY = '/usr/sbin/haproxy'

/** Whether Debian's haproxy is installed. */
export const hasHaproxy = (): boolean => existsSync(HAPROXY)

/**
 * Starts a real HAProxy that forwards TCP, and ends it with the test.
 *
 * @param bind parameters of the line `bind`, such as `accept-proxy`
 * @param server parameters of the line `server`, such as `send-proxy`
 * @returns its port.
 */
export async function startHaproxy(t: TestContext, to: number, { bind = '', server = '' }): Promise<number> {
  const port = await freePort()
  const lines = [
    'defaults',
    ' mode tcp',
    ' timeout connect 5s',
    ' timeout client 30s',
    ' timeout server 30s',
    'listen front',
    ` bind 127.0.0.1:${port} ${bind}`,
    ` server gateway 127.0.0.1:${to} ${server}`,
    '',
  ]
  const folder = await mkdtemp(join(tmpdir(), 'ws-tunnel-haproxy-'))
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, lines.join('\n'))
  const child = spawn(HAPROXY, ['-db', '-q', '-f', file], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.after(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
    await rm(folder, { recursive: true })
  })
  await eventually(async () => (await connectClient(t, port)).destroy(), 5_000)
  return port
}
