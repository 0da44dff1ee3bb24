import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { debugTest } from '../../../packages/core/src/proxy/debug-log.ts'
import { ROOT } from '../../docs/markdown.ts'

const ROWS: [patterns: string, name: string, isNamed: boolean][] = [
  ['', 'ws-tunnel:open', false],
  ['*', 'ws-tunnel:open', true],
  ['ws-tunnel:*', 'ws-tunnel:open', true],
  ['express:*, ws-tunnel:close', 'ws-tunnel:close', true],
  ['express:* ws-tunnel:close', 'ws-tunnel:open', false],
  ['ws-tunnel:*,-ws-tunnel:response', 'ws-tunnel:response', false],
  ['ws-tunnel:ope.', 'ws-tunnel:open', false],
]

for (const [patterns, name, isNamed] of ROWS) {
  test(`DEBUG=${patterns} ${isNamed ? 'prints' : 'does not print'} ${name}`, () => {
    assert.equal(debugTest(patterns)(name), isNamed)
  })
}

test('prints the messages of the channels that DEBUG names', async () => {
  const program = `
    import { createServer } from 'node:http'
    import { createTunnelProxy } from '@ws-tunnel/core'
    const proxy = createTunnelProxy({ target: 'http://127.0.0.1:1/' })
    const server = createServer((req, res) => proxy.handle(req, res).catch(error => res.writeHead(error.statusCode).end()))
    server.listen(0, '127.0.0.1', async () => {
      await fetch('http://127.0.0.1:' + server.address().port + '/x')
      server.closeAllConnections()
      server.close()
    })`
  const run = (DEBUG: string) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      cwd: ROOT,
      env: { ...process.env, DEBUG },
    })
  assert.match((await run('ws-tunnel:*')).stderr, /^ws-tunnel:error GET \/x: WST_ERR_CONNECT: /m)
  assert.doesNotMatch((await run('ws-tunnel:open')).stderr, /ws-tunnel:/)
})
