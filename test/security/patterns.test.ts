import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import { fromHttpdConf } from '@ws-tunnel/httpd-conf'
import { responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { sendRequest, startBackend, startGateway } from '../support/harness.ts'

const text = 'a'.repeat(3_000)

const CASES: [
  what: string,
  options: (target: string) => WsTunnelOptions,
  path: string,
  headers: string[],
  statusCode: number,
][] = [
  ['path', target => ({ routes: [{ path: /(\w+)\/ws$/, target }] }), `/${text}`, [], 414],
  ['path with parameters', target => ({ routes: [{ path: '/*a/x/*b/y', target }] }), `/${text}`, [], 414],
  ['query', target => ({ target, when: [{ url: 'query', matches: /(\w+)\/ws$/ }] }), `/?${text}`, [], 414],
  ['header field', target => ({ target, when: [{ header: 'x', matches: /(\w+)\/ws$/ }] }), '/', [`X: ${text}`], 431],
  ['negated condition', target => ({ target, when: [{ header: 'x', not: /(\w+)\/ws$/ }] }), '/', [`X: ${text}`], 431],
  ['path of a linear pattern', target => ({ routes: [{ path: /^\/(\w+)$/, target }] }), `/${text}`, [], 200],
  [
    'header field of a linear pattern',
    target => ({ target, when: [{ header: 'x', matches: /^(\w+)$/ }] }),
    '/',
    [`X: ${text}`],
    200,
  ],
]

for (const [what, options, path, headers, statusCode] of CASES)
  test(`${statusCode}s a long ${what}`, async t => {
    const backend = await startBackend(t, responding())
    const gateway = await startGateway(t, options(`http://${backend.address}/`))
    const client = await sendRequest(t, gateway, plainRequest(path, { headers }))
    assert.equal((await client.whole()).statusCode, statusCode)
  })

test('431s and 414s what slow patterns of an Apache configuration would see', async t => {
  const backend = await startBackend(t, responding())
  const options = fromHttpdConf({
    text: `
    RewriteEngine On
    RewriteCond %{HTTP:X} !(\\w+)/ws$
    RewriteCond %{QUERY_STRING} !(\\w+)/ws$
    RewriteRule ^/rule(.*)$ http://${backend.address}$1 [P]
    ProxyPassMatch (\\w+)/ws$ http://${backend.address}
  `,
  })
  const gateway = await startGateway(t, options)
  const statusOf = async (path: string, headers: string[] = []): Promise<number> =>
    (await (await sendRequest(t, gateway, plainRequest(path, { headers }))).whole()).statusCode
  assert.equal(await statusOf('/rule'), 200)
  assert.equal(await statusOf('/rule', [`X: ${text}`]), 431)
  assert.ok([414, 431].includes(await statusOf(`/rule?${text}`)))
  assert.equal(await statusOf(`/${text}`), 414)
})
