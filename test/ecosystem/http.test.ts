import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { sendMessage } from '../docs/program.ts'
import { logs, servesBoth, speaksSocketIo } from './checks.ts'
import { startEchoBackend } from './echo-backend.ts'
import { Folder } from './folder.ts'

const MIDDLEWARE = [
  'compression',
  'cors',
  'express-rate-limit',
  'express-session',
  'helmet',
  'morgan',
  'passport',
  'pino-http',
]
const FASTIFY = ['cookie', 'cors', 'helmet', 'rate-limit', 'session', 'websocket'].map(name => `@fastify/${name}`)

suite('the packed packages in an app of', () => {
  let folder: Folder
  let backend: Awaited<ReturnType<typeof startEchoBackend>>

  before(async () => {
    const frameworks = [
      'express@5',
      'express4@npm:express@4',
      'fastify@5',
      'koa',
      'hono',
      '@hono/node-server',
      'socket.io',
    ]
    folder = Folder.install(['core', 'express', 'fastify', 'native'], [...frameworks, ...MIDDLEWARE, ...FASTIFY])
    backend = await startEchoBackend()
  })

  after(() => {
    backend?.close()
    folder?.remove()
  })

  for (const name of ['express', 'express4']) {
    test(`${name} with ${MIDDLEWARE.join(', ')}`, async t => {
      const program = await folder.start('express.mjs', backend.host, name)
      t.after(() => program.kill())
      await servesBoth(program, 'ada')
      await assert.rejects(sendMessage(program.socketUrl('/chat/c'), 'hello'), { message: '401 Unauthorized' })
      await logs(program, /^morgan GET \/chat\/c\?user=ada 101$/m)
      await logs(program, /"statusCode":101,.*"msg":"request completed"/)
      assert.doesNotMatch(program.output, /request aborted|request errored/)
    })
  }

  test('Express beside socket.io', async t => {
    const program = await folder.start('socket-io.mjs', backend.host)
    t.after(() => program.kill())
    await servesBoth(program)
    await speaksSocketIo(program)
  })

  test(`Fastify with ${FASTIFY.join(', ')}`, async t => {
    const program = await folder.start('fastify.mjs', backend.host)
    t.after(() => program.kill())
    await servesBoth(program, 'ada')
    assert.equal(await sendMessage(program.socketUrl('/own'), 'hello'), 'own hello')
    await logs(program, /"res":\{"statusCode":101\},.*"msg":"request completed"/)
    assert.doesNotMatch(program.output, /request aborted|"level":50/)
  })

  for (const name of ['koa', 'hono']) {
    test(name, async t => {
      const program = await folder.start(`${name}.mjs`, backend.host)
      t.after(() => program.kill())
      await servesBoth(program)
    })
  }
})
