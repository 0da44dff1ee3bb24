import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { openSocket } from '../docs/program.ts'
import { servesBoth } from './checks.ts'
import { startEchoBackend } from './echo-backend.ts'
import { Folder, type OurPackage } from './folder.ts'

/** A version whose own Fastify is not the newest: the newest must not come beside it. */
const VERSION = '12.1.1'
const NEST = ['common', 'core', 'websockets', 'platform-ws'].map(name => `@nestjs/${name}@${VERSION}`)

suite('the packed packages in NestJS with a gateway', () => {
  let backend: Awaited<ReturnType<typeof startEchoBackend>>

  before(async () => {
    backend = await startEchoBackend()
  })
  after(() => backend.close())

  for (const platform of ['express', 'fastify'] as const) {
    test(`on ${platform}`, async t => {
      const ours: OurPackage[] = ['core', 'native', platform]
      const folder = Folder.install(ours, [
        ...NEST,
        `@nestjs/platform-${platform}@${VERSION}`,
        'reflect-metadata',
        'rxjs',
      ])
      t.after(() => folder.remove())
      const copies = globSync(`**/node_modules/${platform}/package.json`, { cwd: folder.path })
      assert.equal(copies.length, 1, `one ${platform}, but npm has installed ${copies.join(', ')}`)
      const program = await folder.start('nest.mjs', backend.host, platform)
      t.after(() => program.kill())
      await servesBoth(program)
      const socket = await openSocket(program.socketUrl('/own'))
      assert.equal(await socket.send('{"event":"say","data":"hello"}'), '{"event":"said","data":"gateway hello"}')
      await socket.close()
    })
  }
})
