import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import type { HandoverMessage } from '@ws-tunnel/core'
import { echo } from '../support/backend.ts'
import type { RawClient } from '../support/client.ts'
import { eventually, within } from '../support/gate.ts'
import { Succession } from '../support/handover/processes.ts'
import { connectTunnel, startBackend } from '../support/harness.ts'
import { async, native } from '../support/pump.ts'

/** More tunnels than one batch has. */
const TUNNELS = 80

const STEPS: readonly HandoverMessage['step'][] = [
  'connected',
  'listener',
  'offer',
  'accepted',
  'commit',
  'moved',
  'stopped',
  'done',
]

async function start(t: TestContext): Promise<Succession> {
  const { url } = await startBackend(t, echo())
  return Succession.create(t, { framework: 'node:http', options: { target: url, async } })
}

/** Whether the tunnel still moves bytes; false if it has ended. Fails if it lives and does not echo, or not exactly. */
async function lives(client: RawClient, text: string): Promise<boolean> {
  if (client.ended || client.socket.destroyed) return false
  client.send(text)
  try {
    assert.equal(String(await client.readExact(text.length)), text)
    return true
  } catch (error) {
    if (client.ended || client.socket.destroyed) return false
    throw error
  }
}

async function openAll(t: TestContext, port: number): Promise<RawClient[]> {
  const clients: RawClient[] = []
  for (let i = 0; i < TUNNELS; i++) clients.push(await connectTunnel(t, port))
  await Promise.all(clients.map((client, i) => lives(client, `tunnel ${i}`)))
  return clients
}

describe('the process that takes dies', native, () => {
  for (const step of STEPS.filter(each => each !== 'stopped')) {
    for (const nth of step === 'accepted' || step === 'commit' || step === 'moved' ? [1, 2] : [1]) {
      test(`at the step ${step}, time ${nth}: the tunnels that it does not own live on`, async t => {
        const gateways = await start(t)
        const first = await gateways.next()
        const port = await first.port()
        const clients = await openAll(t, port)
        const second = gateways.start({ at: { port }, dies: { role: 'taker', step, nth } })
        assert.equal(await within(10_000, 'the end of the process', second.exited), 'SIGKILL')

        if (step === 'done') {
          // It owned all of them.
          for (const client of clients) await eventually(() => client.ended || client.socket.destroyed)
          await first.report('handed over')
          return
        }
        const alive = await Promise.all(clients.map((client, i) => lives(client, `again ${i}`)))
        const kept = alive.filter(Boolean).length
        const { tunnels } = await first.view()
        assert.equal(tunnels.length, kept)
        // A batch has 32 tunnels. What it owned when it died is lost, and no more.
        const own = { accepted: 32 * nth, commit: 32 * nth, moved: 32 * nth }[step as string] ?? 32 * (nth - 1)
        // It may die before or after the other process gives it the batch that it has accepted.
        assert.ok(kept === TUNNELS - own || (step === 'accepted' && kept === TUNNELS - own + 32), `${kept}`)
        const client = await eventually(() => connectTunnel(t, port))
        assert.ok(await lives(client, 'new'))
        await gateways.next()
        await first.report('handed over')
        assert.ok(await lives(client, 'moved'))
      })
    }
  }
})

describe('the process that gives dies', native, () => {
  for (const step of STEPS) {
    for (const nth of step === 'accepted' || step === 'commit' || step === 'moved' ? [1, 2] : [1]) {
      test(`at the step ${step}, time ${nth}: the next one serves, and has what was its own`, async t => {
        const gateways = await start(t)
        const first = await gateways.next({ dies: { role: 'giver', step, nth } })
        const port = await first.port()
        const clients = await openAll(t, port)
        const second = gateways.start({ at: { port } })
        assert.equal(await within(10_000, 'the end of the process', first.exited), 'SIGKILL')
        await second.report('listening')
        await second.made('ready')

        const alive = await Promise.all(clients.map((client, i) => lives(client, `again ${i}`)))
        const kept = alive.filter(Boolean).length
        assert.equal((await second.view()).tunnels.length, kept)
        const own =
          { commit: 32 * nth, moved: 32 * nth, stopped: TUNNELS, done: TUNNELS }[step as string] ?? 32 * (nth - 1)
        assert.equal(kept, own)
        assert.ok(await lives(await connectTunnel(t, port), 'new'))
        const third = await gateways.next()
        await second.report('handed over')
        assert.equal((await third.view()).tunnels.length, kept + 1)
      })
    }
  }
})

/** Sends the lines to the socket of a hand-over, and reads what comes until its end. */
async function say(path: string, lines: readonly string[]): Promise<string> {
  const socket = connect(path)
  let text = ''
  socket.setEncoding('utf8').on('data', chunk => {
    text += chunk
  })
  for (const line of lines) socket.write(`${line}\n`)
  await within(5_000, 'the end of the connection', new Promise(resolve => socket.once('close', resolve)))
  return text
}

describe('a process refuses', native, () => {
  const hello = (version: unknown): string => JSON.stringify({ type: 'hello', version, pid: 1 })
  const refusals: [what: string, lines: string[], reason: RegExp | undefined][] = [
    ['another version', [hello(99)], /version 1 of the protocol, not 99/],
    ['another first message', ['{"type":"tunnels"}'], /expected the message hello, got tunnels/],
    ['a token that it has not given', ['{"type":"descriptors","token":"x"}'], /the token of the second connection/],
    ['what is no JSON', ['\u0000\u0001 garbage'], undefined],
    ['what is no message', ['[1,2]'], undefined],
    ['a first connection without the second', [hello(1)], undefined],
  ]
  for (const [what, lines, reason] of refusals) {
    test(what, async t => {
      const gateways = await start(t)
      const first = await gateways.next()
      const client = await connectTunnel(t, await first.port())
      const text = await say(gateways.path, lines)
      if (reason !== undefined) assert.match(text, reason)
      assert.ok(await lives(client, 'unharmed'))
      await gateways.next()
      await first.report('handed over')
      assert.ok(await lives(client, 'moved'))
    })
  }

  test('a second process while it hands over to one', async t => {
    const gateways = await start(t)
    const first = await gateways.next()
    const socket = connect(gateways.path)
    socket.write(`${hello(1)}\n`)
    await new Promise(resolve => socket.once('data', resolve))
    assert.match(await say(gateways.path, [hello(1)]), /hands over to another process already/)
    const second = gateways.start({ at: { port: await first.port() } })
    assert.equal(await second.exited, 1)
    assert.match(second.errors, /WST_ERR_HANDOVER: .*hands over to another process already/)
    socket.destroy()
    await eventually(() => gateways.next())
  })

  test('messages out of their order, and goes on', async t => {
    const gateways = await start(t)
    const first = await gateways.next()
    const client = await connectTunnel(t, await first.port())
    for (const wrong of [
      '{"type":"listener","index":7}',
      '{"type":"accepted","tunnels":[true]}',
      '{"type":"x"}',
      '}{',
    ]) {
      const control = connect(gateways.path)
      control.write(`${hello(1)}\n`)
      const [welcome] = await within(5_000, 'the welcome', linesOf(control, 1))
      const passing = connect(gateways.path)
      passing.write(`${JSON.stringify({ type: 'descriptors', token: JSON.parse(welcome ?? '').token })}\n`)
      await linesOf(control, 1)
      control.write(`${wrong}\n`)
      await within(5_000, 'the end of the connection', new Promise(resolve => control.once('close', resolve)))
      passing.destroy()
      assert.ok(await lives(client, wrong))
    }
    // An offer that is accepted in a wrong form: the tunnel stays.
    const control = connect(gateways.path)
    control.write(`${hello(1)}\n`)
    const [welcome] = await linesOf(control, 1)
    const passing = connect(gateways.path)
    passing.pause()
    passing.write(`${JSON.stringify({ type: 'descriptors', token: JSON.parse(welcome ?? '').token })}\n`)
    await linesOf(control, 1)
    control.write('{"type":"tunnels"}\n')
    await linesOf(control, 1)
    control.write('{"type":"accepted"}\n')
    await new Promise(resolve => control.once('close', resolve))
    passing.destroy()
    assert.ok(await lives(client, 'still'))
  })

  test('another user', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async t => {
    const gateways = await start(t)
    const first = await gateways.next()
    const { chmodSync } = await import('node:fs')
    const { dirname } = await import('node:path')
    chmodSync(dirname(gateways.path), 0o777)
    chmodSync(gateways.path, 0o777)
    const second = gateways.start({ at: { port: await first.port() } }, 65_534)
    assert.equal(await second.exited, 1)
    assert.match(second.errors, /WST_ERR_HANDOVER: .*runs as another user/)
  })
})

/** The next lines of a socket. */
function linesOf(socket: Socket, count: number): Promise<string[]> {
  return new Promise(resolve => {
    let text = ''
    const take = (chunk: Buffer): void => {
      text += chunk
      const lines = text.split('\n')
      if (lines.length <= count) return
      socket.off('data', take)
      resolve(lines)
    }
    socket.on('data', take)
  })
}

test('a process that gets nonsense from the one that serves fails with an error that names it', native, async t => {
  const responses = ['garbage', '{"type":"welcome"}', '{"type":"done"}', '{"type":"refused","reason":"no"}']
  for (const response of responses) {
    const gateways = await start(t)
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.end(`${response}\n`)
    })
    await new Promise<void>(resolve => server.listen(gateways.path, resolve))
    const process = gateways.start()
    assert.equal(await process.exited, 1)
    assert.match(process.errors, /WST_ERR_HANDOVER: /)
    server.close()
  }
})
