import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type RouteOptions } from '@ws-tunnel/core'

/** The request target that the backend would get, or the outcome. */
async function sent(mapping: RouteOptions['mapping'], path: string, url: string): Promise<string> {
  const routes = [{ path, target: 'http://b.test/t', ...(mapping && { mapping }) }]
  const { outcome } = await explain({ routes }, { url, headers: { host: 'h.test' } })
  if (outcome.kind === 'refused') return outcome.code
  return outcome.kind === 'http' ? (outcome.backend.requestLine.split(' ')[1] as string) : outcome.kind
}

for (const [what, mapping, path, url, line] of [
  ['decodes a path before it is matched', undefined, '/a b', '/a%20b/%2e', '/t/'],
  ['matches the path as the client wrote it', 'encoded', '/a%20b', '/a%20b/x%2Fy?q=%20', '/t/x%2Fy?q=%20'],
  ['takes escapes that nothing needs for what they stand for', 'encoded', '/a', '/%61/%7e', '/t/~'],
  ['resolves dot segments all the same', 'encoded', '/a', '/a/b/../c', '/t/c'],
  ['refuses a hidden dot segment', 'encoded', '/a', '/a/x%2F..%2F..%2Fy', 'WST_ERR_BAD_REQUEST'],
  ['refuses an escape that is none', 'encoded', '/a', '/a/%zz', 'WST_ERR_BAD_REQUEST'],
  [
    'sees through parameters of segments as a servlet container does',
    'servlet',
    '/app',
    '/x/..;/app;v=1/y',
    '/t/;v=1/y',
  ],
  ['never climbs above the root', 'servlet', '/app', '/..;/app', 'app'],
  ['gives what leads out of its prefix to others', 'servlet', '/app', '/app/..;/other', 'app'],
  ['ends a prefix at a segment', 'servlet', '/app', '/apple', 'app'],
  ['wants what stands below a prefix with a slash', 'servlet', '/app/', '/app', 'app'],
] as const) {
  test(`${what} (mapping: ${mapping})`, async () => assert.equal(await sent(mapping, path, url), line))
}

test('matches a route with mapping: encoded before rewrite', async () => {
  const options = {
    rewrite: () => ({ path: '/other', query: '' }),
    routes: [
      { path: '/a', target: 'http://early.test/', mapping: 'encoded' as const },
      { path: '/other', target: 'http://late.test/' },
    ],
  }
  const hosts = []
  for (const url of ['/a/x', '/b']) {
    const { outcome } = await explain(options, { url, headers: { host: 'h.test' } })
    hosts.push(outcome.kind === 'http' && outcome.backend.host)
  }
  assert.deepEqual(hosts, ['early.test', 'late.test'])
})
