import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'
import { WebSocketServer } from 'ws'
import { type CodeBlock, markdownFiles, ROOT } from './markdown.ts'
import { Program, sendMessage } from './program.ts'

/** A folder inside the workspace, so that the blocks find its packages. */
const FOLDER = join(ROOT, '.cache', `docs-${process.pid}`)

/** Declarations for blocks that are part of a program. They are on one line, so that line numbers are those of the document. */
const PRELUDE = [
  "import type { Server } from 'node:http'",
  "import { createHttp2Server, listenForUpgrades, wsTunnel, WsTunnelError } from '@ws-tunnel/express'",
  "import { wsTunnelHandler } from '@ws-tunnel/fastify'",
  "import type { ErrorRequestHandler, Express } from 'express'",
  "import type { FastifyInstance, preHandlerHookHandler } from 'fastify'",
  'declare const app: Express, server: Server, fastify: FastifyInstance, requireUser: preHandlerHookHandler, key: string, cert: string',
].join('; ')

const blocks = markdownFiles().flatMap(markdown => markdown.blocks.filter(({ language }) => language === 'ts'))
const fileOf = ({ file, line }: CodeBlock): string => join(FOLDER, `${file.replace(/\W+/g, '-')}-${line}.ts`)
const nameOf = ({ file, line }: CodeBlock): string => `${file}:${line}`
const isProgram = ({ code }: CodeBlock): boolean => /^import /m.test(code) && /\blisten\(/.test(code)

suite('code of the documents', () => {
  let backend: WebSocketServer

  before(async () => {
    mkdirSync(FOLDER, { recursive: true })
    for (const block of blocks) {
      const text = /^import /m.test(block.code) ? block.code : `${PRELUDE}; ${block.code}`
      writeFileSync(fileOf(block), text)
    }
    const settings = { extends: '../../tsconfig.check.json', include: ['*.ts'] }
    writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify(settings))
    backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    backend.on('connection', (socket, req) => {
      socket.on('message', data => socket.send(`${req.url} received ${data}`))
    })
    await once(backend, 'listening')
  })

  after(() => {
    backend.close()
    rmSync(FOLDER, { recursive: true })
  })

  test('every block type-checks', async () => {
    assert.ok(blocks.length >= 12, `only ${blocks.length} blocks found`)
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', FOLDER, '--pretty', 'false']).catch(
      (error: { stdout: string }) => error,
    )
    assert.equal(stdout, '')
  })

  test('every complete program names the path to try', () => {
    const untried = blocks.filter(block => isProgram(block) && !block.info.startsWith('try=/'))
    assert.deepEqual(untried.map(nameOf), [])
  })

  for (const block of blocks.filter(({ info }) => info !== '')) {
    test(`a WebSocket passes through the program at ${nameOf(block)}`, async t => {
      assert.match(block.code, /\b8080\b/)
      assert.match(block.code, /\blocalhost:9000\b/)
      const { port } = backend.address() as AddressInfo
      const file = fileOf(block).replace(/\.ts$/, '.run.ts')
      writeFileSync(file, block.code.replace('8080', '0').replaceAll('localhost:9000', `localhost:${port}`))
      const program = await Program.start(file, { imports: [join(ROOT, 'test', 'docs', 'announce.ts')] })
      t.after(() => program.kill())

      const path = block.info.replace('try=', '')
      assert.equal(await sendMessage(program.socketUrl(path), 'hello'), `${path.replace('/chat', '')} received hello`)

      if (!block.code.includes('SIGTERM')) return
      program.signal('SIGTERM')
      await program.endsCleanly()
    })
  }
})
