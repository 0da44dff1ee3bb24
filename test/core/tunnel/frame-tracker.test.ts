import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closeFrame, FrameTracker } from '../../../packages/core/src/tunnel/frame-tracker.ts'

/** A frame as a client or a server sends it. */
function frameOf({ opcode, masked, length }: { opcode: number; masked: boolean; length: number }): Buffer {
  const mask = masked ? 0x80 : 0
  const head =
    length < 126
      ? [mask | length]
      : length < 65_536
        ? [mask | 126, length >> 8, length & 0xff]
        : [mask | 127, 0, 0, 0, 0]
  if (length >= 65_536) head.push(length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff)
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), Buffer.alloc(length + (masked ? 4 : 0), 0x88)])
}

const frame = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 9, 10),
  masked: fc.boolean(),
  length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.integer({ min: 60_000, max: 70_000 })),
})

test('knows the boundaries of frames, in whatever chunks the bytes come', () => {
  const property = fc.property(
    fc.array(frame, { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 1, max: 999 }),
    (frames, size) => {
      const boundaries = new Set<number>([0])
      let total = 0
      const bytes = Buffer.concat(
        frames.map(each => {
          const one = frameOf(each)
          total += one.length
          boundaries.add(total)
          return one
        }),
      )
      const tracker = new FrameTracker()
      for (let at = 0; at < bytes.length; at += size) {
        tracker.pass(bytes.subarray(at, at + size))
        const end = Math.min(at + size, bytes.length)
        assert.equal(tracker.isAtBoundary, boundaries.has(end), `${end} of ${[...boundaries]}`)
      }
    },
  )
  fc.assert(property, { numRuns: 300 })
})

test('a Close frame is the last one', () => {
  const tracker = new FrameTracker()
  tracker.pass(closeFrame(false))
  assert.equal(tracker.isAtBoundary, false)
})

test('writes the code 1001, masked for a backend', () => {
  assert.equal(closeFrame(false).toString('hex'), '880203e9')
  const masked = closeFrame(true)
  assert.equal(masked.subarray(0, 2).toString('hex'), '8882')
  const code = [6, 7].map(i => (masked[i] as number) ^ (masked[i - 4] as number))
  assert.deepEqual(code, [0x03, 0xe9])
})
