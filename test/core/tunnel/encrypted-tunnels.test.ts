import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { JsEngine } from '../../../packages/core/src/tunnel/js-engine.ts'
import { eventually } from '../../support/gate.ts'
import { connectedPair, encryptedPair } from '../../support/pair.ts'
import { peer } from '../../support/peers.ts'
import { Reader } from '../../support/reader.ts'
import * as certificates from '../../support/tls.ts'
import { receiveRandomly, seeded, sendRandomly } from '../../support/traffic.ts'

const WIRES = ['TCP', 'TLSv1.2', 'TLSv1.3'] as const
type Wire = (typeof WIRES)[number]

/** The far end of a connection, and the end that the tunnel gets. A client's connection has the tunnel as its server. */
async function ends(t: TestContext, wire: Wire, side: 'client' | 'backend'): Promise<[far: Socket, own: Socket]> {
  if (wire === 'TCP') return connectedPair(t)
  const [client, server] = await encryptedPair(t, wire)
  return side === 'client' ? [client, server] : [server, client]
}

interface Started {
  engine: JsEngine
  events: string[]
}

function start(client: Socket, backend: Socket): Started {
  const events: string[] = []
  const engine: JsEngine = new JsEngine(
    { client, clientHead: [], backend, backendHead: [] },
    {
      onFin: side => events.push(`FIN of the ${side}`),
      onBroken: (side, error) => {
        events.push(`${side} broken: ${(error as NodeJS.ErrnoException)?.code}`)
        engine.end()
      },
      onClosed: () => events.push('closed'),
    },
  )
  engine.start()
  return { engine, events }
}

interface Running extends Started {
  client: Socket
  backend: Socket
}

async function running(t: TestContext, clientWire: Wire, backendWire: Wire): Promise<Running> {
  const [client, clientEnd] = await ends(t, clientWire, 'client')
  const [backend, backendEnd] = await ends(t, backendWire, 'backend')
  return { client, backend, ...start(clientEnd, backendEnd) }
}

const PAIRS = WIRES.flatMap(client => WIRES.map(backend => [client, backend] as const)).filter(
  ([client, backend]) => client !== 'TCP' || backend !== 'TCP',
)

for (const [clientWire, backendWire] of PAIRS) {
  test(`keeps megabytes in both directions byte for byte: ${clientWire} in front, ${backendWire} behind`, async t => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const random = seeded(seed)
    const { client, backend, events } = await running(t, clientWire, backendWire)
    const [up, down, upEnd, downEnd] = await Promise.all([
      sendRandomly(client, 4_000_000, random),
      sendRandomly(backend, 4_000_000, random),
      receiveRandomly(backend, random),
      receiveRandomly(client, random),
    ])
    assert.deepEqual([upEnd.digest, downEnd.digest], [up, down])
    await eventually(() => events.at(-1) === 'closed')
    assert.deepEqual(events.slice(0, 2).toSorted(), ['FIN of the backend', 'FIN of the client'])
  })
}

/** What a sender or a receiver does next. */
type Step = { write: number } | 'turn' | 'wait'

const SIZES = [1, 64, 4_095, 4_096, 4_097, 16_383, 16_384, 16_385, 65_536, 81_920, 81_921, 200_000]
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ write: fc.oneof(fc.constantFrom(...SIZES), fc.integer({ min: 1, max: 30_000 })) }),
  },
  { weight: 2, arbitrary: fc.constant('turn' as const) },
  { weight: 1, arbitrary: fc.constant('wait' as const) },
)
const steps = fc.array(step, { maxLength: 25 })
/** After how many reads a receiver pauses. */
const pauses = fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 6 })

/** Writes without regard to backpressure. @returns the digest and the number of the bytes */
async function play(socket: Socket, script: Step[]): Promise<string> {
  const hash = createHash('sha256')
  let bytes = 0
  for (const step of script) {
    if (step === 'turn') await new Promise(setImmediate)
    else if (step === 'wait') await new Promise(resolve => setTimeout(resolve, 3))
    else {
      const chunk = randomBytes(step.write)
      hash.update(chunk)
      bytes += chunk.length
      socket.write(chunk)
    }
  }
  socket.end()
  return `${bytes} ${hash.digest('hex')}`
}

async function receive(socket: Socket, afterReads: number[]): Promise<string> {
  const hash = createHash('sha256')
  const left = [...afterReads]
  let bytes = 0
  socket.on('data', chunk => {
    hash.update(chunk)
    bytes += chunk.length
    const reads = left.shift()
    if (reads === undefined) return
    if (reads > 1) left.unshift(reads - 1)
    else {
      socket.pause()
      setTimeout(() => socket.resume(), 5)
    }
  })
  await once(socket, 'end')
  return `${bytes} ${hash.digest('hex')}`
}

test('delivers what was sent, FIN last, whatever the writes, the pauses and the wires', async t => {
  const property = fc.asyncProperty(
    fc.constantFrom(...PAIRS),
    steps,
    steps,
    pauses,
    pauses,
    async ([clientWire, backendWire], up, down, upPauses, downPauses) => {
      const { client, backend, events } = await running(t, clientWire, backendWire)
      const [sentUp, sentDown, receivedUp, receivedDown] = await Promise.all([
        play(client, up),
        play(backend, down),
        receive(backend, upPauses),
        receive(client, downPauses),
      ])
      assert.deepEqual([receivedUp, receivedDown], [sentUp, sentDown])
      await eventually(() => events.at(-1) === 'closed')
    },
  )
  await fc.assert(property, { numRuns: 40, interruptAfterTimeLimit: 20_000 })
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`passes close_notify on and keeps the other direction open, over ${version}`, async t => {
    const { client, backend, events } = await running(t, version, version)
    const [near, far] = [new Reader(client), new Reader(backend)]
    client.end(randomBytes(20_000))
    assert.equal((await far.readAll()).length, 20_000)
    assert.deepEqual(events, ['FIN of the client'])
    for (let i = 0; i < 3; i++) {
      backend.write(randomBytes(70_000))
      assert.equal((await near.readExact(70_000)).length, 70_000)
    }
    backend.end('last')
    assert.equal(String(await near.readAll()), 'last')
  })

  test(`delivers what it received before a RST, over ${version}`, async t => {
    const [client, clientEnd, reset] = await encryptedPair(t, version)
    const [backend, backendEnd] = await encryptedPair(t, version)
    const { engine, events } = start(clientEnd, backendEnd)
    const far = new Reader(backend)
    const bytes = randomBytes(150_000)
    client.write(bytes)
    await eventually(() => engine.bytesFromClient === bytes.length)
    reset()
    assert.ok((await far.readAll()).equals(bytes))
    assert.equal(events[0], 'client broken: ECONNRESET')
  })
}

test('keeps every byte before and after a TLS 1.2 client negotiates again', async t => {
  const { client, backend } = await running(t, 'TLSv1.2', 'TLSv1.3')
  const [near, far] = [new Reader(client), new Reader(backend)]
  const exchange = async (): Promise<void> => {
    const [up, down] = [randomBytes(300_000), randomBytes(300_000)]
    client.write(up)
    backend.write(down)
    assert.ok((await far.readExact(up.length)).equals(up))
    assert.ok((await near.readExact(down.length)).equals(down))
  }
  await exchange()
  assert.equal(await new Promise(resolve => (client as TLSSocket).renegotiate({}, resolve)), null)
  await exchange()
})

test('keeps every byte when session tickets arrive after the tunnel has started', async t => {
  const bytes = randomBytes(300_000)
  const server = createTlsServer({ ...certificates.server, maxVersion: 'TLSv1.3' }, peer => peer.end(bytes))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const [client, clientEnd] = await connectedPair(t)
  const backendEnd = connectTls({ port, ca: certificates.ca, servername: 'localhost', allowHalfOpen: true } as object)
  let tickets = 0
  // The server sends its tickets after this event. A tunnel that starts here reads them.
  backendEnd.once('secureConnect', () => {
    const { engine } = start(clientEnd, backendEnd)
    t.after(() => engine.destroy())
    backendEnd.on('session', () => tickets++)
  })
  assert.ok((await new Reader(client).readAll()).equals(bytes))
  assert.ok(tickets > 0, 'no ticket arrived')
})

const openssl = peer('openssl', () => execFileSync('openssl', ['version']).length > 0)

test('keeps every byte while a TLS 1.3 client changes its keys, and asks for new ones', openssl, async t => {
  const server = createTlsServer({ ...certificates.server, allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const program = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', '-brief'])
  t.after(() => program.kill())
  const [clientEnd] = (await once(server, 'secureConnection')) as [TLSSocket]
  server.close()
  const [backend, backendEnd] = await encryptedPair(t)
  const { engine } = start(clientEnd, backendEnd)
  t.after(() => engine.destroy())
  let echoed = 0
  let log = ''
  backend.on('data', chunk => backend.write(chunk))
  program.stdout.on('data', chunk => {
    echoed += chunk.length
  })
  program.stderr.on('data', text => {
    log += text
  })
  // The program takes a `K` at the start of what it reads for a command.
  const block = `${'#'.repeat(99_999)}\n`
  for (let round = 1; round <= 4; round++) {
    program.stdin.write(block)
    await eventually(() => assert.equal(echoed, round * block.length))
    program.stdin.write('K\n')
    await eventually(() => assert.equal(log.split('KEYUPDATE').length - 1, round))
  }
})
