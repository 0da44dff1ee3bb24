import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { registerHooks } from 'node:module'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { Server as SocketIo } from 'socket.io'
import { io } from 'socket.io-client'
import { WebSocket, WebSocketServer } from 'ws'
import { echo } from '../support/backend.ts'
import type { Middleware } from '../support/frameworks.ts'
import { within } from '../support/gate.ts'
import { startBackend, startGatewayOn } from '../support/harness.ts'
import type { Theme } from './theme.ts'

/** Opens a WebSocket and sends a message. @returns the message that comes back. */
async function talk(port: number, path: string, word: string | Buffer, options = {}): Promise<string> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, options)
  try {
    await within(5_000, `a WebSocket at ${path}`, once(socket, 'open'))
    socket.send(word)
    const [data] = (await within(5_000, `a message at ${path}`, once(socket, 'message'))) as [Buffer]
    return data.toString()
  } finally {
    socket.terminate()
  }
}

/** A WebSocket server of the app, as in the documentation of ws. */
const wsAt = (server: Server, path: string): WebSocketServer => {
  const own = new WebSocketServer({ server, path })
  own.on('connection', socket => socket.on('message', data => socket.send(`own ${data}`)))
  return own
}

/** Real libraries: as backend, as client, and as another listener on the same server. */
export const listeningTheme: Theme = (setUp, start) => {
  /** A ws server as backend; it sends each message back with the prefix `behind`. */
  const behind = async (t: { after: (fn: () => unknown) => void }): Promise<{ port: number; protocols: string[] }> => {
    const server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      handleProtocols: protocols => [...protocols].at(-1) ?? false,
      perMessageDeflate: true,
    })
    const protocols: string[] = []
    server.on('connection', socket => {
      protocols.push(socket.protocol)
      socket.on('message', (data, binary) => socket.send(binary ? data : `behind ${data}`, { binary }))
    })
    await once(server, 'listening')
    t.after(() => {
      for (const socket of server.clients) socket.terminate()
      return new Promise(resolve => server.close(resolve))
    })
    return { port: (server.address() as { port: number }).port, protocols }
  }

  test('carries ws to ws: messages, compression, the subprotocol that the backend selects, a clean close', async t => {
    const { port, protocols } = await behind(t)
    const setup = await setUp(t, echo(), { target: `ws://127.0.0.1:${port}/` })
    assert.equal(await talk(setup.gateway.port, '/', 'hello'), 'behind hello')
    assert.equal(await talk(setup.gateway.port, '/', 'x'.repeat(1_048_576)), `behind ${'x'.repeat(1_048_576)}`)
    const socket = new WebSocket(`ws://127.0.0.1:${setup.gateway.port}/`, ['one', 'two'])
    await once(socket, 'open')
    assert.equal(socket.protocol, 'two')
    assert.match(socket.extensions, /permessage-deflate/)
    for (let i = 0; i < 16; i++) socket.send('x'.repeat(65_536), { fin: i === 15 })
    const [whole] = (await once(socket, 'message')) as [Buffer]
    assert.equal(whole.length, 'behind '.length + 16 * 65_536)
    socket.close(4321, 'enough')
    const [code, reason] = await once(socket, 'close')
    assert.equal(`${code} ${reason}`, '4321 enough')
    assert.deepEqual(protocols, ['', '', 'two'])
  })

  test('carries socket.io, first by polling and then upgraded, through two gateways', async t => {
    const { createServer } = await import('node:http')
    const server = createServer()
    const sockets = new SocketIo(server)
    sockets.on('connection', socket => socket.on('word', (word, reply) => reply(`io ${word}`)))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.after(() => sockets.close())
    const inner = await startGatewayOn(t, start, '/', {
      target: `ws://127.0.0.1:${(server.address() as { port: number }).port}/`,
    })
    const outer = await startGatewayOn(t, start, '/', { target: `ws://127.0.0.1:${inner.port}/` })
    const client = io(`http://127.0.0.1:${outer.port}`, { reconnection: false })
    t.after(() => client.close())
    await within(
      5_000,
      'socket.io to connect',
      new Promise<void>((resolve, reject) => client.on('connect', resolve).on('connect_error', reject)),
    )
    assert.equal(await client.timeout(5_000).emitWithAck('word', 'one'), 'io one')
    if (client.io.engine.transport.name === 'polling') {
      await within(
        5_000,
        'socket.io to upgrade',
        new Promise<void>(resolve => client.io.engine.once('upgrade', () => resolve())),
      )
    }
    assert.equal(await client.timeout(5_000).emitWithAck('word', 'two'), 'io two')
    assert.equal(outer.tunnels.size, 1)
  })

  const forms: [name: string, only: '/live' | string[] | ((req: { url?: string }) => boolean)][] = [
    ['a prefix', '/live'],
    ['a list', ['/elsewhere', '/live']],
    ['a function', req => req.url?.startsWith('/live') ?? false],
  ]
  for (const [name, only] of forms) {
    for (const order of ['before', 'after'] as const) {
      test(`shares a server with ws, attached ${order} it, where only (${name}) selects the upgrades of the tunnel`, async t => {
        const { port } = await behind(t)
        let own: WebSocketServer | undefined
        const attach = (server: Server): void => {
          own = wsAt(server, '/own-ws')
        }
        const setup = await setUp(
          t,
          echo(),
          { target: `ws://127.0.0.1:${port}/`, only },
          { mount: '/live', only, ...(order === 'before' ? { prepare: attach } : {}) },
        )
        if (order === 'after') attach(setup.gateway.server)
        t.after(() => own?.close())
        for (let i = 0; i < 2; i++) {
          assert.equal(await talk(setup.gateway.port, '/live/x', 'hello'), 'behind hello')
          assert.equal(await talk(setup.gateway.port, '/own-ws', 'hello'), 'own hello')
        }
        assert.equal((await setup.get('/own')).body, 'own')
        assert.match(
          (await setup.refused('/neither')).startLine,
          /400/,
          'the other listener refuses what is not for the tunnel',
        )
      })
    }
  }

  test('shares a server with ws if only is an option of the tunnel alone', async t => {
    const { port } = await behind(t)
    const setup = await setUp(
      t,
      echo(),
      { target: `ws://127.0.0.1:${port}/`, only: '/live' },
      { mount: '/live', listen: 'auto' },
    )
    assert.equal(await talk(setup.gateway.port, '/live', 'first'), 'behind first')
    const own = wsAt(setup.gateway.server, '/own-ws')
    t.after(() => own.close())
    assert.equal(await talk(setup.gateway.port, '/live', 'hello'), 'behind hello')
    assert.equal(await talk(setup.gateway.port, '/own-ws', 'hello'), 'own hello')
  })

  test('shares a server with socket.io', async t => {
    const { port } = await behind(t)
    let sockets: SocketIo | undefined
    const setup = await setUp(
      t,
      echo(),
      { target: `ws://127.0.0.1:${port}/`, only: '/live' },
      {
        mount: '/live',
        only: '/live',
        prepare: server => {
          sockets = new SocketIo(server, { destroyUpgradeTimeout: 50 })
          sockets.on('connection', socket => socket.on('word', (word, reply) => reply(`io ${word}`)))
        },
      },
    )
    t.after(() => sockets?.close())
    const live = new WebSocket(`ws://127.0.0.1:${setup.gateway.port}/live`)
    t.after(() => live.terminate())
    await once(live, 'open')
    const client = io(`http://127.0.0.1:${setup.gateway.port}`, { reconnection: false })
    t.after(() => client.close())
    await within(
      5_000,
      'socket.io to connect',
      new Promise<void>((resolve, reject) => client.on('connect', resolve).on('connect_error', reject)),
    )
    if (client.io.engine.transport.name === 'polling') {
      await within(
        5_000,
        'socket.io to upgrade',
        new Promise<void>(resolve => client.io.engine.once('upgrade', () => resolve())),
      )
    }
    assert.equal(await client.timeout(5_000).emitWithAck('word', 'one'), 'io one')
    await new Promise(resolve => setTimeout(resolve, 100))
    live.send('still there')
    const [data] = (await once(live, 'message')) as [Buffer]
    assert.equal(data.toString(), 'behind still there')
  })

  /** The warnings about other listeners during a test. */
  const warningsIn = (t: { after: (fn: () => unknown) => void }): string[] => {
    const warnings: string[] = []
    const note = (warning: Error & { code?: string }): void => {
      if (warning.code === 'WST_WARN_OTHER_LISTENERS') warnings.push(warning.message)
    }
    process.on('warning', note)
    t.after(() => process.off('warning', note))
    return warnings
  }

  for (const listen of ['explicit', 'auto'] as const) {
    test(`takes the upgrades that lead to its tunnels without an option, and leaves the rest to others (${listen})`, async t => {
      const warnings = warningsIn(t)
      let own: WebSocketServer | undefined
      const setup = await setUp(
        t,
        echo(),
        ({ address }) => ({
          routes: [
            { path: '/a', target: `ws://${address}/` },
            { path: '/b/:id', target: `ws://${address}/` },
          ],
        }),
        {
          mount: '/live',
          listen,
          prepare: server => {
            own = wsAt(server, '/own-ws')
          },
        },
      )
      t.after(() => own?.close())
      // The very first request of the server is an upgrade.
      for (const path of ['/live/a/1', '/live/b/7?x=/own-ws']) {
        const client = await setup.tunnel(path)
        assert.equal((await client.send('hello').readExact(5)).toString(), 'hello')
      }
      assert.equal(await talk(setup.gateway.port, '/own-ws', 'hello'), 'own hello')
      for (const path of ['/live', '/live/c', '/live/bb/7', '/livea/a', '/own-ws/live/a', '/?/live/a'])
        assert.match((await setup.refused(path)).startLine, /400/, `${path} is left to the other listener`)
      assert.equal(setup.backend.seen.length, 2)
      assert.deepEqual(warnings, [])
    })
  }

  test('leaves every upgrade to others if its tunnel takes every path, and warns with the path and the cure', async t => {
    const warnings = warningsIn(t)
    const setup = await setUp(t, echo(), {})
    await setup.tunnel('/own-ws')
    const own = wsAt(setup.gateway.server, '/own-ws')
    t.after(() => own.close())
    for (let i = 0; i < 2; i++) assert.equal(await talk(setup.gateway.port, '/own-ws', 'hello'), 'own hello')
    assert.match((await setup.refused('/live')).startLine, /400/, 'the other listener responds')
    assert.equal(setup.backend.seen.length, 1)
    await new Promise(resolve => setImmediate(resolve))
    // A process warns once, and each framework has a process of its own.
    assert.equal(warnings.length, 1, warnings.join('\n'))
    assert.match(warnings[0] as string, /the upgrade of "\/own-ws".*`only: "\/chat\/"`/)
    own.close()
    setup.backend.play(echo())
    await setup.tunnel('/live')
  })

  test('takes the upgrades of its mount before a listener that responds to all', async t => {
    const setup = await setUp(
      t,
      echo(),
      {},
      {
        listen: 'auto',
        mount: '/live',
        prepare: server =>
          server.on('upgrade', (_req, socket: Duplex) => socket.end('HTTP/1.1 499 Mine\r\nContent-Length: 0\r\n\r\n')),
      },
    )
    await setup.tunnel('/live')
    assert.equal((await setup.refused('/elsewhere')).startLine, 'HTTP/1.1 499 Mine')
    assert.equal((await setup.get('/own')).body, 'own')
  })

  test('shares a path with another listener where only selects by subprotocol', async t => {
    const { port } = await behind(t)
    const only = (req: { headers: Record<string, unknown> }): boolean =>
      req.headers['sec-websocket-protocol'] === 'tunnel'
    let own: WebSocketServer | undefined
    const setup = await setUp(
      t,
      echo(),
      { target: `ws://127.0.0.1:${port}/`, only: only as never },
      {
        mount: '/live',
        only: only as never,
        prepare: server => {
          own = wsAt(server, '/live')
        },
      },
    )
    t.after(() => own?.close())
    const socket = new WebSocket(`ws://127.0.0.1:${setup.gateway.port}/live`, ['tunnel'])
    t.after(() => socket.terminate())
    await once(socket, 'open')
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'behind hello')
    assert.equal(await talk(setup.gateway.port, '/live', 'hello'), 'own hello')
  })

  test('shares its listener with a second copy of the package', async t => {
    const copies = registerHooks({
      resolve: (specifier, context, next) => {
        const resolved = next(specifier, context)
        const copied = context.parentURL?.endsWith('?copy') && specifier.startsWith('.')
        return copied ? { ...resolved, url: `${resolved.url}?copy` } : resolved
      },
    })
    const copy = (await import(`${import.meta.resolve('@ws-tunnel/core')}?copy`)) as typeof import('@ws-tunnel/core')
    copies.deregister()
    assert.notEqual(copy.createTunnelProxy, createTunnelProxy)
    const backend = await startBackend(t, echo({ early: 'copy' }))
    const proxy = copy.createTunnelProxy({ routes: [{ path: '/copy', target: `ws://${backend.address}` }] })
    const before: Middleware = (req, res, next) => void proxy.handle(req, res).then(taken => taken || next(), next)
    const setup = await setUp(t, echo({ early: 'mine' }), {}, { before: [before] })
    for (let i = 0; i < 2; i++) {
      assert.equal((await (await setup.tunnel('/copy/x')).readExact(4)).toString(), 'copy')
      assert.equal((await (await setup.tunnel('/x')).readExact(4)).toString(), 'mine')
    }
    assert.equal(setup.gateway.server.listenerCount('upgrade'), 1)
    await proxy.close({ drainTimeout: 0 })
  })
}
