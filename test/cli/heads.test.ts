import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { hasApache, startApache } from '../httpd/apache.ts'
import { responding } from '../support/backend.ts'
import { startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { folder, Program } from './program.ts'

const HOST = 'Host: h.test\r\n'
const many = (count: number): string => Array.from({ length: count }, (_, i) => `X-${i}: 1\r\n`).join('')

/** Heads, each with the settings that it is about. */
const rows: [what: string, head: string, lines?: string][] = [
  ['a usual head', `GET / HTTP/1.1\r\n${HOST}`],
  ['a request line of 8190 bytes', `GET /${'a'.repeat(8_176)} HTTP/1.1\r\n${HOST}`],
  ['a request line of 8191 bytes', `GET /${'a'.repeat(8_177)} HTTP/1.1\r\n${HOST}`],
  ['a request line of 8192 bytes', `GET /${'a'.repeat(8_178)} HTTP/1.1\r\n${HOST}`],
  ['100 fields', `GET / HTTP/1.1\r\n${HOST}${many(99)}`],
  ['101 fields', `GET / HTTP/1.1\r\n${HOST}${many(100)}`],
  ['101 fields without a limit', `GET / HTTP/1.1\r\n${HOST}${many(100)}`, 'LimitRequestFields 0'],
  ['a field of 8190 bytes', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(8_187)}\r\n`],
  ['a field of 8192 bytes', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(8_189)}\r\n`],
  [
    'two lines of a field of 8192 bytes',
    `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(4_200)}\r\nX: ${'a'.repeat(4_200)}\r\n`,
  ],
  ['fields of 12 KiB', `GET / HTTP/1.1\r\n${HOST}X: ${'a'.repeat(6_000)}\r\nY: ${'a'.repeat(6_000)}\r\n`],
  ['a line of a configuration', `GET /${'a'.repeat(40)} HTTP/1.1\r\n${HOST}`, 'LimitRequestLine 30'],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n'],
  ['no Host', 'GET / HTTP/1.1\r\n'],
  ['two Host fields', `GET / HTTP/1.1\r\n${HOST}${HOST}`],
  ...['a:', 'a,b', 'a:80', 'a:0', 'a:65536', 'a..b', '1', '127.0.0.01', 'a.1', '[::1]', '[x]', 'a_b', 'a/b', 'a@b'].map(
    (host): [string, string] => [`the Host ${host}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n`],
  ),
  ['the Host a,b with Unsafe', 'GET / HTTP/1.1\r\nHost: a,b\r\n', 'HttpProtocolOptions Unsafe'],
  ['a space before the colon', `GET / HTTP/1.1\r\n${HOST}X : 1\r\n`],
  ['a field without a colon', `GET / HTTP/1.1\r\n${HOST}X\r\n`],
  ['an absolute target', `GET http://h.test/ HTTP/1.1\r\n${HOST}`],
  ['a target without a slash', `GET x HTTP/1.1\r\n${HOST}`],
  ['a version that does not exist', `GET / HTTP/3.7\r\n${HOST}`],
  ['a control character in a value', `GET / HTTP/1.1\r\n${HOST}X: a\x01b\r\n`],
]

/** Where the two differ, and why: docs/httpd.md. */
const deviations: Record<string, [httpd: string, ours: string]> = { 'a version that does not exist': ['200', '400'] }

async function statusOf(port: number, head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {})
  socket.write(`${head}Connection: close\r\n\r\n`, 'latin1')
  await once(socket, 'close')
  return /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 'nothing'
}

test(
  'accepts the heads that httpd accepts, with its limits where no line sets them',
  peer('apache2', hasApache),
  async (t: TestContext) => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const found: Record<string, [string, string]> = {}
    for (const lines of new Set(rows.map(([, , own = '']) => own))) {
      const conf = `${lines}\nProxyPass / http://${address}/\n`
      const apache = await startApache(new Map(), conf)
      t.after(() => apache.close())
      const at = await folder(t, { 'a.conf': conf })
      const [port = 0] = await new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0']).ports()
      for (const [what, head, own = ''] of rows) {
        if (own !== lines) continue
        const [httpd, ours] = [await statusOf(apache.port, head), await statusOf(port, head)]
        if (httpd !== ours) found[what] = [httpd, ours]
      }
    }
    assert.deepEqual(found, deviations)
  },
)
