import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { WebSocket } from 'ws'
import { openSocket, type Program } from '../docs/program.ts'
import { eventually } from '../support/gate.ts'
import { logs, servesBoth } from './checks.ts'
import { startEchoBackend } from './echo-backend.ts'
import { Folder } from './folder.ts'

suite('the packed packages beside Vite', () => {
  let folder: Folder
  let backend: Awaited<ReturnType<typeof startEchoBackend>>
  before(async () => {
    folder = Folder.install(['core', 'express', 'native'], ['express@5', 'vite'])
    backend = await startEchoBackend()
  })
  after(() => {
    backend.close()
    folder.remove()
  })

  const write = (file: string, text: string): void => writeFileSync(join(folder.path, file), text)

  /** The socket of a page, and the messages of Vite on it. */
  async function openPageSocket(program: Program): Promise<{ message(type: string): Promise<string>; close(): void }> {
    const token = /^token (\S+)$/m.exec(program.output)?.[1]
    const socket = new WebSocket(program.socketUrl(`/?token=${token}`), 'vite-hmr')
    const messages: string[] = []
    socket.on('message', message => messages.push(String(message)))
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    const message = (type: string): Promise<string> =>
      eventually(() => messages.find(each => each.includes(`"type":"${type}"`)) ?? false, 15_000) as Promise<string>
    return { message, close: () => socket.close() }
  }

  test('in middleware mode, where the page keeps its socket', async t => {
    const program = await folder.start('vite.mjs', backend.host)
    t.after(() => program.kill())
    await servesBoth(program)
    const page = await openPageSocket(program)
    assert.equal(await page.message('connected'), '{"type":"connected"}')
    page.close()
  })

  test('as a plugin of the dev server, whose page is updated while a tunnel is open', async t => {
    write('index.html', '<title>app</title><script type="module" src="/main.js"></script>')
    write('main.js', 'import.meta.hot.accept()')
    const program = await folder.start('vite-plugin.mjs', backend.host, 'dev')
    t.after(() => program.kill())
    const page = await openPageSocket(program)
    await page.message('connected')
    await servesBoth(program)
    const tunnel = await openSocket(program.socketUrl('/chat/open'))
    assert.match(await (await program.get('/main.js')).text(), /import\.meta\.hot\.accept/)
    write('main.js', 'import.meta.hot.accept() // changed')
    assert.match(await page.message('update'), /"path":"\/main\.js"/)
    assert.equal(await tunnel.send('hello'), '/open of guest: hello')
    page.close()
    program.signal('SIGUSR2')
    await logs(program, /^tunnel shutdown$[\s\S]*^done$/m)
    await program.endsCleanly()
  })

  test('as a plugin of the dev server, whose next server has tunnels after a restart', async t => {
    write('index.html', '<title>app</title>')
    const program = await folder.start('vite-plugin.mjs', backend.host, 'restart')
    t.after(() => program.kill())
    const tunnel = await openSocket(program.socketUrl('/chat/open'))
    assert.equal(await tunnel.send('hello'), '/open of guest: hello')
    program.signal('SIGUSR2')
    await logs(program, /^tunnel shutdown$[\s\S]*^done$/m)
    await servesBoth(program)
  })

  test('as a plugin of the preview server', async t => {
    write('index.html', '<title>app</title>')
    const program = await folder.start('vite-plugin.mjs', backend.host, 'preview')
    t.after(() => program.kill())
    await servesBoth(program)
    const tunnel = await openSocket(program.socketUrl('/chat/open'))
    assert.equal(await tunnel.send('hello'), '/open of guest: hello')
    program.signal('SIGUSR2')
    await logs(program, /^tunnel shutdown$/m)
    await program.endsCleanly()
  })
})
