import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { suite, type TestContext, test } from 'node:test'
import { echo } from '../support/backend.ts'
import type { RawClient } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectTunnel, sendFinAfterFin, startBackend } from '../support/harness.ts'
import { native } from '../support/pump.ts'
import { folder, Program } from './program.ts'

async function echoes(client: RawClient, text: string): Promise<void> {
  client.send(text)
  assert.equal(String(await client.readExact(text.length)), text)
}

async function start(t: TestContext, ...args: string[]): Promise<{ at: (name: string) => string; args: string[] }> {
  const { address } = await startBackend(t, echo())
  const at = await folder(t, { 'a.conf': `PidFile pid\nServerRoot %ROOT%\nProxyPass / ws://${address}/\n` })
  const text = await readFile(at('a.conf'), 'utf8')
  await writeFile(at('a.conf'), text.replace('%ROOT%', at('.')))
  return { at, args: ['run', at('a.conf'), '--handover', at('next.sock'), '--health', '/healthz', ...args] }
}

suite('ws-tunnel run --handover', native, () => {
  test('a second process takes the listener and the tunnels over, and the first one ends', async t => {
    const { at, args } = await start(t, '--listen', '127.0.0.1:0')
    const first = new Program(t, args)
    const [port = 0] = await first.ports()
    const clients = await Promise.all(Array.from({ length: 5 }, () => connectTunnel(t, port)))
    const listen = ['--listen', `127.0.0.1:${port}`]
    const second = new Program(t, [...args.slice(0, -2), ...listen])
    await second.ports()
    assert.equal(await first.exit(), 0)
    assert.match(first.stderr, /handed over, ending/)
    await second.prints(/5 tunnels of the process before this one continue here/)
    await Promise.all(clients.map((client, i) => echoes(client, `${i}`)))
    await echoes(await connectTunnel(t, port), 'new')
    assert.equal((await readFile(at('pid'), 'utf8')).trim(), `${second.pid}`)
    second.signal('SIGTERM')
    for (const client of clients) client.end()
  })

  test('SIGUSR2 starts the next process, with the arguments and the files of now', async t => {
    const { at, args } = await start(t, '--listen', '127.0.0.1:0')
    const first = new Program(t, args)
    const [port = 0] = await first.ports()
    const client = await connectTunnel(t, port)
    first.signal('SIGUSR2')
    assert.equal(await first.exitAlone(), 0)
    const next = Number(await readFile(at('pid'), 'utf8'))
    assert.notEqual(next, first.pid)
    try {
      await echoes(client, 'moved')
      await echoes(await connectTunnel(t, port), 'new')
    } finally {
      process.kill(next, 'SIGKILL')
    }
  })

  test('a next process that does not start changes nothing, and without --handover SIGUSR2 is refused', async t => {
    const { at, args } = await start(t, '--listen', '127.0.0.1:0')
    const first = new Program(t, args)
    const [port = 0] = await first.ports()
    const client = await connectTunnel(t, port)
    await writeFile(at('a.conf'), 'Nonsense\n')
    first.signal('SIGUSR2')
    await first.prints(/the next process has ended \(1\), and this one goes on/)
    await echoes(client, 'here')

    const other = await start(t, '--listen', '127.0.0.1:0')
    const without = new Program(
      t,
      other.args.filter(arg => arg !== '--handover' && !arg.endsWith('next.sock')),
    )
    await without.ports()
    without.signal('SIGUSR2')
    await without.prints(/SIGUSR2 hands over to the next process, which needs the option --handover/)
  })

  test('with workers, a reload starts new ones that take over from the old ones', async t => {
    const { args } = await start(t, '--listen', '127.0.0.1:0', '--workers', '2')
    const program = new Program(t, args)
    const [port = 0] = await program.ports(2)
    const clients = await Promise.all(Array.from({ length: 12 }, () => connectTunnel(t, port)))
    for (const signal of ['SIGHUP', 'SIGUSR2'] as const) {
      const before = program.stderr.length
      program.signal(signal)
      await eventually(() => {
        const counts = Array.from(program.stderr.slice(before).matchAll(/ (\d+) tunnels of the process before/g))
        const moved = counts.reduce((sum, [, count]) => sum + Number(count), 0)
        assert.equal(moved, 12, program.stderr.slice(before))
      }, 20_000)
      await Promise.all(clients.map((client, i) => echoes(client, `${signal} ${i}`)))
    }
    await eventually(() => assert.equal(program.stderr.match(/handed over, ending/g)?.length ?? 4, 4), 20_000)
    program.signal('SIGTERM')
    for (const client of clients) client.end()
    assert.equal(await program.exit(), 0)
  })

  test('a stop says so on the health page before it refuses, and ends tunnels one after another', async t => {
    const times = ['--notice', '1', '--drain', '2', '--drain-spread', '2']
    const { args } = await start(t, '--listen', '127.0.0.1:0', ...times)
    const program = new Program(t, args)
    const [port = 0] = await program.ports()
    const health = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/healthz`)).status
    assert.equal(await health(), 200)
    const clients = await Promise.all(Array.from({ length: 5 }, () => connectTunnel(t, port)))
    sendFinAfterFin(...clients)
    const begin = performance.now()
    const ends = clients.map(client => client.readAll().then(() => performance.now() - begin))
    program.signal('SIGTERM')
    await eventually(async () => assert.equal(await health(), 503))
    await echoes(await connectTunnel(t, port), 'still accepted')
    const ended = (await Promise.all(ends)).sort((a, b) => a - b)
    assert.ok((ended[0] ?? 0) > 900 && (ended.at(-1) ?? 0) - (ended[0] ?? 0) > 700, ended.map(Math.round).join())
    assert.equal(await program.exit(), 0)
  })
})
