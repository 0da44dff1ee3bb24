import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndListener, OpenTunnel } from '../../../packages/core/src/tunnel/open-tunnel.ts'
import { Traffic } from '../../../packages/core/src/tunnel/traffic.ts'

/** The part of a tunnel that is counted. */
function moving(): OpenTunnel & { bytesFromClient: number; bytesFromBackend: number; end: () => void } {
  const listeners: EndListener[] = []
  const tunnel = {
    bytesFromClient: 0,
    bytesFromBackend: 0,
    onEnd: (listener: EndListener) => listeners.push(listener),
    end: () => {
      for (const listener of listeners.splice(0)) listener.tunnelOnEnd(tunnel as never, tunnel as never)
    },
  }
  return tunnel as never
}

test('counts each byte of a tunnel once, while it is open and after its end', () => {
  const traffic = new Traffic()
  traffic.add(1, 2)
  const tunnel = moving()
  traffic.follow(tunnel)
  tunnel.bytesFromClient = 10
  tunnel.bytesFromBackend = 20
  assert.deepEqual([traffic.sent, traffic.received], [11, 22])
  tunnel.bytesFromClient = 15
  assert.deepEqual([traffic.sent, traffic.received], [16, 22])
  tunnel.bytesFromClient = 16
  tunnel.end()
  assert.deepEqual([traffic.sent, traffic.received], [17, 22])
})

test('adds up many tunnels at most every 50 ms, and loses no byte', t => {
  let now = 1_000
  t.mock.method(performance, 'now', () => now)
  const traffic = new Traffic()
  const tunnels = Array.from({ length: 500 }, moving)
  for (const tunnel of tunnels) traffic.follow(tunnel)
  const move = (): void => {
    for (const tunnel of tunnels) tunnel.bytesFromClient += 3
  }
  move()
  assert.equal(traffic.sent, 1_500)
  move()
  now += 49
  assert.equal(traffic.sent, 1_500)
  tunnels[0]?.end()
  assert.equal(traffic.sent, 1_503, 'the bytes of an ended tunnel count at once')
  now += 1
  assert.equal(traffic.sent, 3_000)
  move()
  for (const tunnel of tunnels) tunnel.end()
  assert.equal(traffic.sent, 4_500 - 3)
})
