import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { servesBoth } from './checks.ts'
import { startEchoBackend } from './echo-backend.ts'
import { Folder } from './folder.ts'

test('the packed packages in a custom server of Next.js, whose page keeps its socket', {
  timeout: 300_000,
}, async t => {
  const folder = Folder.install(['core', 'express', 'native'], ['express@5', 'next', 'react', 'react-dom'])
  t.after(() => folder.remove())
  const backend = await startEchoBackend()
  t.after(() => backend.close())
  const program = await folder.start('next.mjs', backend.host)
  t.after(() => program.kill())
  await servesBoth(program)
  const socket = new WebSocket(program.socketUrl('/_next/hmr'))
  const message = await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
  assert.match(String(message), /"(?:action|type)"/)
  socket.close()
})
