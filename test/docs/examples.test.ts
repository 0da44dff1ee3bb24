import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { State } from '@ws-tunnel/manager'
import { io } from 'socket.io-client'
import { WebSocketServer } from 'ws'
import { changeAt } from '../manager/harness.ts'
import { eventually, socketPath } from '../support/gate.ts'
import { ROOT } from './markdown.ts'
import { openSocket, Program, sendMessage } from './program.ts'

const text = async (response: Response | Promise<Response>): Promise<string> => (await response).text()

/** A tunnel below /chat, which the app strips, and a route of the app itself. */
async function chatBesideTheApp(program: Program): Promise<void> {
  assert.equal(await sendMessage(program.socketUrl('/chat/lobby?x=1'), 'hello'), '/lobby?x=1 received hello')
  assert.equal(await text(program.get('/')), 'An ordinary route of the app\n')
}

/** What each example must do. */
const checks: Record<string, (program: Program) => Promise<void>> = {
  express: chatBesideTheApp,
  connect: chatBesideTheApp,

  async fastify(program) {
    await chatBesideTheApp(program)
    await assert.rejects(sendMessage(program.socketUrl('/live'), 'hello'), { message: '401 {"error":"Who are you?"}' })
    const headers = { authorization: 'Bearer secret' }
    assert.equal(await sendMessage(program.socketUrl('/live'), 'hello', { headers }), '/live received hello')
  },

  async 'node-http'(program) {
    assert.equal(await sendMessage(program.socketUrl('/chat/lobby'), 'hello'), '/lobby received hello')
    const elsewhere = await program.get('/elsewhere')
    assert.equal(elsewhere.status, 404)
    assert.equal(await text(elsewhere), 'Nothing here\n')
    const refused = await program.get('/chat/a%2Fb')
    assert.equal(refused.status, 404)
    assert.equal(await text(refused), 'WST_ERR_ENCODED_SLASH\n')
  },

  async routes(program) {
    assert.equal(await text(program.get('/chat/admin/users')), 'This response comes from the app\n')
    assert.equal(await sendMessage(program.socketUrl('/chat/a/b'), '?'), '/talk/a/b')
    assert.equal(await sendMessage(program.socketUrl('/users/7/feed?since=1'), '?'), '/feeds/7?since=1')
    assert.equal(await sendMessage(program.socketUrl('/rooms/42/ws'), '?'), '/room/42')
    const headers = { host: 'one.example' }
    assert.equal(await sendMessage(program.socketUrl('/tenants/x'), '?', { headers }), '/tenant/one.example/x')
  },

  async conditions(program) {
    assert.equal(await sendMessage(program.socketUrl('/any/path?x=1'), 'hello'), '/any/path?x=1 received hello')
    assert.equal(await text(program.get('/any/path?x=1')), 'a page for /any/path?x=1\n')
  },

  async auth(program) {
    const url = program.socketUrl('/private/')
    await assert.rejects(sendMessage(url, 'hello'), { message: '401 {"error":"Who are you?"}' })
    const authorization = 'Bearer tony'
    assert.equal(await sendMessage(url, 'hello', { headers: { authorization, 'x-user': 'root' } }), 'tony says hello')
    const origin = 'https://app.example'
    assert.equal(await sendMessage(url, 'hello', { headers: { authorization }, origin }), 'tony says hello')
    await assert.rejects(
      sendMessage(url, 'hello', { headers: { authorization }, origin: 'https://evil.example' }),
      /^Error: 403/,
    )
  },

  async 'tls-front'(program) {
    const ca = readFileSync(join(ROOT, 'examples', 'tls', 'cert.pem'))
    assert.equal(await sendMessage(program.socketUrl('/'), 'hello', { ca }), 'https hello')
  },

  async 'unix-socket'(program) {
    assert.equal(await sendMessage(program.socketUrl('/chat/lobby'), 'hello'), 'chat.internal/lobby received hello')
  },

  async 'beside-socket-io'(program) {
    assert.equal(await sendMessage(program.socketUrl('/live/room'), 'hello'), '/room received hello')
    for (const transport of ['websocket', 'polling']) {
      const socket = io(program.url, { transports: [transport], forceNew: true })
      try {
        assert.equal(await socket.timeout(5_000).emitWithAck('hello', transport), `hello ${transport}`)
      } finally {
        socket.close()
      }
    }
  },

  async shutdown(program) {
    const url = program.socketUrl('/chat/')
    const open = await openSocket(url)
    assert.equal(await open.send('before'), 'before')
    program.signal('SIGTERM')
    await eventually(() => program.output.includes('draining 1 open tunnels'))
    await assert.rejects(sendMessage(url, 'new'), /^Error: 503/)
    assert.equal(await open.send('after'), 'after')
    await open.close()
    await program.endsCleanly()
    assert.match(program.output, /tunnel ended: finished, \d+ bytes up, \d+ down/)
  },

  async handover(program) {
    const url = program.socketUrl('/chat/')
    await assert.rejects(sendMessage(url, 'hello'), /^Error: 503/)
    program.signal('SIGTERM')
    await program.endsCleanly()

    const backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    backend.on('connection', socket => socket.on('message', data => socket.send(String(data))))
    const { path, remove } = await socketPath()
    const { port } = backend.address() as AddressInfo
    const env = { BACKEND: `ws://127.0.0.1:${port}/`, HANDOVER: path }
    const start = (PORT: string): Promise<Program> => Program.start('examples/handover.ts', { env: { ...env, PORT } })
    const first = await start('0')
    const socket = await openSocket(first.socketUrl('/chat/'))
    assert.equal(await socket.send('before'), 'before')
    const second = await start(new URL(first.url).port)
    await first.endsCleanly()
    assert.match(first.output, /the next process has taken 1 tunnels/)
    assert.equal(await socket.send('after'), 'after')
    await socket.close()
    second.signal('SIGTERM')
    await second.endsCleanly()
    backend.close()
    await remove()
  },

  async opentelemetry(program) {
    assert.equal(await sendMessage(program.socketUrl('/chat/lobby'), 'hello'), '/lobby received hello')
    await assert.rejects(sendMessage(program.socketUrl('/gone/'), 'hello'), /^Error: 503/)
    await eventually(() => /'ws_tunnel.end.reason': 'finished'/.test(program.output))
    assert.match(program.output, /'error.type': 'WST_ERR_CONNECT'/)
  },

  async fleet(program) {
    const all = new Map<number, State>()
    const bothWorkers = async (member: number, status: string): Promise<void> => {
      all.clear()
      await eventually(async () => {
        const response = await program.get('/manager/api/state', { connection: 'close' })
        const state = (await response.json()) as State
        all.set(state.pid, state)
        const found = [...all.values()].map(({ proxies }) => proxies[0]?.balancers[0]?.members[member]?.status)
        return found.length === 2 && found.every(letters => letters === status)
      }, 15_000)
    }
    await bothWorkers(0, '')
    const [{ proxies } = { proxies: [] }] = all.values()
    const member = proxies[0]?.balancers[0]?.members[0]?.url
    const settings = { status: '+N' }
    await changeAt(program.url, {
      action: 'set-member',
      proxy: 'main',
      balancer: 'chat',
      member: String(member),
      settings,
    })
    await bothWorkers(0, 'N')
    for (let i = 0; i < 4; i++)
      assert.equal(await sendMessage(program.socketUrl('/chat/'), 'hello'), 'two received hello')
  },

  async headers(program) {
    const host = new URL(program.url).host
    const response = await program.get('/app/?x=1', {
      'x-debug': '1',
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-proto': 'https',
    })
    assert.equal(response.headers.get('location'), `https://${host}/app/login`)
    assert.equal(response.headers.get('set-cookie'), 'sid=1; Path=/app/')
    assert.equal(response.headers.get('x-engine'), null)
    assert.equal(response.headers.get('x-frame-options'), 'DENY')
    const seen = (await response.json()) as Record<string, string>
    assert.equal(seen['host'], host)
    assert.match(seen['x-forwarded-for'] ?? '', /^192\.0\.2\.1, .*(127\.0\.0\.1|::1)$/)
    assert.equal(seen['x-forwarded-server'], 'gateway.example')
    assert.equal(seen['via'], '1.1 gateway.example')
    assert.equal(seen['x-gateway'], 'ws-tunnel')
    assert.equal(seen['x-debug'], undefined)

    const socket = await openSocket(program.socketUrl('/app/'))
    assert.equal(socket.headers['x-frame-options'], 'DENY')
    assert.equal(JSON.parse(await socket.send('headers?'))['x-gateway'], 'ws-tunnel')
    await socket.close()
  },
}

suite('examples', { concurrency: 2 }, () => {
  test('every file has a check here', () => {
    const names = globSync('*.ts', { cwd: join(ROOT, 'examples') }).map(file => file.replace(/\.ts$/, ''))
    assert.deepEqual(Object.keys(checks).toSorted(), names.toSorted())
  })

  for (const [name, check] of Object.entries(checks)) {
    test(`${name}.ts does what it describes, and ends cleanly`, async t => {
      const program = await Program.start(join('examples', `${name}.ts`))
      t.after(() => program.kill())
      await check(program)
      program.signal(name === 'connect' ? 'SIGINT' : 'SIGTERM')
      await program.endsCleanly()
    })
  }
})
