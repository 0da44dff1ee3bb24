import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { WebSocketServer } from 'ws'
import { server as certificate } from '../support/tls.ts'
import { ROOT, readMarkdown } from './markdown.ts'
import { Program, sendMessage } from './program.ts'

const { blocks } = readMarkdown('docs/migration.md')
const ofLanguage = (language: string): string[] =>
  blocks.filter(block => block.language === language).map(({ code }) => code)
const [virtualHost = '', proxyLines = ''] = ofLanguage('apache')
const [program = '', withTls = ''] = ofLanguage('js')
const [printedByCheck = ''] = ofLanguage('')

/** The folder that replaces the absolute paths of the page. It is inside the workspace, so that programs find its packages. */
function machine(name: string): string {
  const folder = join(ROOT, '.cache', `migration-${name}-${process.pid}`)
  mkdirSync(join(folder, 'www'), { recursive: true })
  writeFileSync(join(folder, 'www', 'index.html'), 'the page')
  writeFileSync(join(folder, 'fullchain.pem'), certificate.cert)
  writeFileSync(join(folder, 'privkey.pem'), certificate.key)
  return folder
}

const moved = (text: string, folder: string): string =>
  text
    .replaceAll('/etc/ssl/chat', folder)
    .replaceAll('/var/www/chat', join(folder, 'www'))
    .replaceAll('/etc/apache2/sites-enabled', folder)

test('the migration page shows what ws-tunnel check prints for its virtual host', t => {
  const folder = machine('check')
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'chat.conf'), moved(virtualHost, folder))
  const main = join(ROOT, 'packages', 'cli', 'dist', 'main.js')
  const { stdout, stderr, status } = spawnSync(process.execPath, [main, 'check', 'chat.conf'], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.equal(stdout.replaceAll(join(folder, 'www'), '/var/www/chat'), printedByCheck)
  assert.deepEqual([stderr.trim(), status], ['Syntax OK', 0])
})

test('the program of the migration page serves its virtual host: chat, API and files', async t => {
  const folder = machine('run')
  t.after(() => rmSync(folder, { recursive: true }))
  const chat = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  t.after(() => chat.close())
  chat.on('connection', (socket, req) => {
    socket.on('message', data => socket.send(`${req.url} ${req.headers['x-forwarded-proto']} received ${data}`))
  })
  const api = createServer((req, res) => {
    res.writeHead(302, { Location: `http://localhost:${(api.address() as AddressInfo).port}${req.url}/there` }).end()
  }).listen(0, '127.0.0.1')
  t.after(() => api.close())
  await Promise.all([once(chat, 'listening'), once(api, 'listening')])

  const conf = moved(virtualHost, folder)
    .replaceAll('localhost:9000', `localhost:${(chat.address() as AddressInfo).port}`)
    .replaceAll('localhost:9001', `localhost:${(api.address() as AddressInfo).port}`)
  writeFileSync(join(folder, 'chat.conf'), conf)
  const file = join(folder, 'server.mjs')
  writeFileSync(file, moved(program, folder).replace('8080', '0'))
  const running = await Program.start(file, { imports: [join(ROOT, 'test', 'docs', 'announce.ts')] })
  t.after(() => running.kill())

  assert.equal(await sendMessage(running.socketUrl('/ws/room'), 'hello'), '/ws/room https received hello')
  const { status, headers } = await running.get('/api/health')
  assert.deepEqual([status, headers.get('location')], [302, `${running.url}/api/health/there`])
  assert.equal(await (await running.get('/')).text(), 'the page')
})

test('the lines for Apache in front of Node, and those for TLS in Node, are valid', t => {
  assert.deepEqual(compileHttpdConf({ text: proxyLines }).diagnostics, [])
  const folder = machine('tls')
  t.after(() => rmSync(folder, { recursive: true }))
  const lines = moved(program, folder).split('\n')
  const rest = moved(withTls, folder).replace('listen(443)', 'listen(0, () => process.exit(7))')
  writeFileSync(join(folder, 'chat.conf'), moved(virtualHost, folder))
  writeFileSync(join(folder, 'server.mjs'), `${lines.slice(0, -2).join('\n')}\n${rest}`)
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'server.mjs')], { encoding: 'utf8' })
  assert.equal(status, 7, stderr)
})
