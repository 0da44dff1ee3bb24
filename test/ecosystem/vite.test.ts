import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { servesBoth } from './checks.ts'
import { startEchoBackend } from './echo-backend.ts'
import { Folder } from './folder.ts'

test('the packed packages beside Vite in middleware mode, whose page keeps its socket', async t => {
  const folder = Folder.install(['core', 'express', 'native'], ['express@5', 'vite'])
  t.after(() => folder.remove())
  const backend = await startEchoBackend()
  t.after(() => backend.close())
  const program = await folder.start('vite.mjs', backend.host)
  t.after(() => program.kill())
  await servesBoth(program)
  const token = /^token (\S+)$/m.exec(program.output)?.[1]
  const socket = new WebSocket(program.socketUrl(`/?token=${token}`), 'vite-hmr')
  const message = await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
  assert.equal(String(message), '{"type":"connected"}')
  socket.close()
})
