import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { listen } from '../support/server.ts'
import { ROOT, readMarkdown } from './markdown.ts'
import { Program } from './program.ts'

/** A folder inside the workspace, so that the programs find its packages. */
const FOLDER = join(ROOT, '.cache', `moving-${process.pid}`)

/** The apps of docs/from-http-proxy.md: where an app starts, and what it is after each step. */
const apps = readMarkdown('docs/from-http-proxy.md').blocks.filter(({ code }) => code.includes('const app = express()'))

suite('the two steps from http-proxy-middleware', () => {
  /** Repeats what it gets, with a cookie. */
  const backend = createServer(async (req, res) => {
    const body = Buffer.concat(await req.toArray()).toString()
    res.setHeader('Set-Cookie', 'a=1; Domain=internal.example; Path=/')
    res.end(JSON.stringify([req.method, req.url, req.headers.host, body]))
  })

  before(async () => {
    mkdirSync(FOLDER, { recursive: true })
    await listen(backend)
  })

  after(() => {
    backend.close()
    rmSync(FOLDER, { recursive: true })
  })

  assert.equal(apps.length, 3)
  for (const [step, { code }] of apps.entries()) {
    test(`an app ${step === 0 ? 'before them' : `after step ${step}`} serves the same`, async t => {
      const { port } = backend.address() as AddressInfo
      const file = join(FOLDER, `step-${step}.ts`)
      writeFileSync(file, `${code.replaceAll('localhost:9000', `localhost:${port}`)}\napp.listen(0)\n`)
      const program = await Program.start(file, { imports: [join(ROOT, 'test', 'docs', 'announce.ts')] })
      t.after(() => program.kill())

      const got = await program.get('/api/x?y=1')
      assert.deepEqual(await got.json(), ['GET', '/v1/x?y=1', `localhost:${port}`, ''])
      assert.equal(got.headers.get('x-gateway'), 'front')
      assert.equal(got.headers.get('set-cookie'), 'a=1; Domain=app.example; Path=/')

      const request = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"b":[1,2]}' }
      const posted = await fetch(`${program.url}/api/x`, request)
      assert.deepEqual(await posted.json(), ['POST', '/v1/x', `localhost:${port}`, '{"b":[1,2]}'])
      assert.equal((await program.get('/elsewhere')).status, 404)
    })
  }
})
