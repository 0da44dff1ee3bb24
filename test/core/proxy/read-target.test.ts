import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy, type HandleContext, type WsTunnelOptions } from '@ws-tunnel/core'
import { responding } from '../../support/backend.ts'
import { plainRequest } from '../../support/client.ts'
import { connectClient, startBackend } from '../../support/harness.ts'
import { startServer } from '../../support/server.ts'

const SPELLINGS: [
  what: string,
  options: Partial<WsTunnelOptions>,
  context: HandleContext,
  changed: object,
  seen: string,
][] = [
  ['normalises on a bare server', {}, {}, {}, '/a/x'],
  ['refuses with paths: exact', { paths: 'exact' }, {}, {}, '400'],
  ['refuses if the caller is an adapter', {}, { paths: 'exact' }, {}, '400'],
  ['refuses below a mount', {}, { mount: '/mount', url: '/a/x' }, {}, '400'],
  ['refuses if the caller gives the url', {}, { url: '/a/x' }, {}, '400'],
  ['refuses if an app has kept another url', {}, {}, { url: '/a/x', originalUrl: '/%61/x' }, '400'],
  ['refuses if an app has made the spelling', {}, {}, { url: '/a//x', originalUrl: '/v1/a/x' }, '400'],
  ['passes if an app has changed the url', {}, {}, { url: '/a/x', originalUrl: '/v1/a/x' }, '/a/x'],
  [
    'normalises with paths: normalise below an adapter',
    { paths: 'normalise' },
    { paths: 'exact', mount: '' },
    {},
    '/a/x',
  ],
]

for (const [what, options, context, changed, seen] of SPELLINGS) {
  test(`a path in another spelling: ${what}`, async t => {
    const backend = await startBackend(t, responding({ body: request => request.path }))
    const proxy = createTunnelProxy({ ...options, target: backend.url } as WsTunnelOptions)
    t.after(() => proxy.close())
    const { port } = await startServer(t, (req, res) => {
      Object.assign(req, changed)
      proxy.handle(req, res, context).catch(error => res.writeHead(error.statusCode).end(String(error.statusCode)))
    })
    assert.equal((await (await connectClient(t, port)).send(plainRequest('/%61//x')).whole()).body, seen)
  })
}
