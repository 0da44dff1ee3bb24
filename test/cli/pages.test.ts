import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { echo, responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { ended, folder, Program } from './program.ts'

async function get(t: TestContext, port: number, path: string, headers: string[] = []): Promise<[number, string]> {
  const client = await connectClient(t, port)
  const { statusCode, body } = await client
    .send(plainRequest(path, { host: `127.0.0.1:${port}`, headers: ['Connection: close', ...headers] }))
    .whole()
  client.destroy()
  return [statusCode, body]
}

async function change(
  t: TestContext,
  port: number,
  at: string,
  action: string,
  body: object,
): Promise<[number, string]> {
  const { token } = JSON.parse((await get(t, port, `${at}/api/token`))[1])
  const client = await connectClient(t, port)
  const text = JSON.stringify(body)
  const { statusCode, body: answer } = await client
    .send(
      `POST ${at}/api/${action} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nSec-Fetch-Site: same-origin\r\nX-WS-Tunnel-Token: ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`,
    )
    .whole()
  client.destroy()
  return [statusCode, answer]
}

const section = (path: string, handler: string, lines: string): string =>
  `<Location "${path}">\nSetHandler ${handler}\n${lines}\n</Location>\n`

suite('the pages of ws-tunnel run', { concurrency: 2 }, () => {
  test('SetHandler serves the manager to those that its Location admits: balancer-manager changes, server-status views', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, {
      'a.conf': [
        `<Proxy balancer://pages>\nBalancerMember http://${address}\n</Proxy>`,
        section('/balancer-manager', 'balancer-manager', 'Require local'),
        section('/server-status', 'server-status', 'Require local'),
        section('/secret', 'balancer-manager', 'Require ip 192.0.2.1'),
        'ProxyPass /balancer-manager !\nProxyPass /server-status !\nProxyPass /secret !\nProxyPass / balancer://pages/',
        'CustomLog /dev/stdout "%U %>s"',
      ].join('\n'),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--server-name', 'main.test'])
    const [port = 0] = await program.ports()
    assert.equal((await get(t, port, '/balancer-manager'))[0], 308)
    const [status, page] = await get(t, port, '/balancer-manager/')
    assert.equal(status, 200)
    assert.match(page, /<html/)
    const state = JSON.parse((await get(t, port, '/balancer-manager/api/state'))[1])
    assert.equal(state.proxies[0].balancers[0].members[0].url, `http://${address}`)
    assert.equal(JSON.parse((await get(t, port, '/server-status/api/token'))[1]).token, null)
    assert.equal((await get(t, port, '/secret/'))[0], 403)
    assert.equal((await get(t, port, '/elsewhere'))[1], 'page')
    const lines = await program.lines(6)
    assert.equal(lines[2], '/balancer-manager/api/state 200')
  })

  test('a request that a route matches is for the backend, as in httpd', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, {
      'a.conf': `${section('/balancer-manager', 'balancer-manager', 'Require local')}ProxyPass / http://${address}/\n`,
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    assert.deepEqual(await get(t, port, '/balancer-manager'), [200, 'page'])
  })

  test('the Location decides although no route is near', async t => {
    const at = await folder(t, {
      'a.conf': `${section('/m', 'balancer-manager', 'Require ip 192.0.2.1')}${section('/n', 'balancer-manager', 'Require local')}`,
    })
    const [port = 0] = await new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0']).ports()
    for (const [path, status] of [
      ['/m/', 403],
      ['/m/api/state', 403],
      ['/n/', 200],
      ['/other', 404],
    ] as const)
      assert.equal((await get(t, port, path))[0], status, path)
  })

  const refused: [name: string, conf: string, args: string[], message: RegExp][] = [
    [
      'without access control',
      section('/m', 'balancer-manager', ''),
      [],
      /SetHandler: every client could see and change/,
    ],
    ['with Require all granted', section('/m', 'server-status', 'Require all granted'), [], /SetHandler: every client/],
    [
      'whose Require --allow leaves out',
      section('/m', 'balancer-manager', 'Require local'),
      ['--allow', 'Require'],
      /SetHandler: every client/,
    ],
    [
      'outside of a Location',
      'SetHandler balancer-manager\n',
      [],
      /balancer-manager is supported in a <Location> with a path/,
    ],
    ['that is another one', section('/m', 'cgi-script', 'Require local'), [], /it changes where requests go/],
  ]
  for (const [name, conf, args, message] of refused) {
    test(`refuses a handler ${name}`, async t => {
      const at = await folder(t, { 'a.conf': `${conf}ProxyPass / ws://127.0.0.1:1/\n` })
      const { code, stdout } = await ended(t, 'check', at('a.conf'), ...args)
      assert.equal(code, 1)
      assert.match(stdout, message)
    })
  }

  test('--manager and --metrics are for clients of this machine, or of a guarded Location, and --health for all', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const { address: tunnels } = await startBackend(t, echo())
    const conf = `ProxyPass /ws/ ws://${tunnels}/\nProxyPass / http://${address}/\n`
    const at = await folder(t, {
      'a.conf': conf,
      'guarded.conf': `<Location /metrics>\nRequire ip 192.0.2.1\n</Location>\n${conf}`,
    })
    const options = ['--listen', '127.0.0.1:0', '--manager', '/m', '--metrics', '/metrics', '--health', '/healthz']
    const [port = 0] = await new Program(t, ['run', at('a.conf'), ...options]).ports()
    assert.equal((await get(t, port, '/m/'))[0], 200)
    assert.deepEqual(await get(t, port, '/healthz'), [200, '200 OK\n'])
    const tunnel = await connectTunnel(t, port, '/ws/')
    assert.match((await get(t, port, '/metrics'))[1], /^ws_tunnel_tunnels_open\{.*\} 1$/m)
    tunnel.destroy()
    for (const path of ['/m/', '/metrics', '/m/api/state'])
      assert.equal((await get(t, port, path, ['X-Forwarded-For: 192.0.2.9']))[0], 403, path)
    assert.deepEqual(await get(t, port, '/mm'), [200, 'page'])

    const [guarded = 0] = await new Program(t, ['run', at('guarded.conf'), ...options]).ports()
    assert.equal((await get(t, guarded, '/metrics'))[0], 403)
    const [off = 0] = await new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0']).ports()
    for (const path of ['/m', '/metrics', '/healthz']) assert.deepEqual(await get(t, off, path), [200, 'page'])
  })

  test('workers are one fleet: a change applies to all of them, and metrics are their sum', async t => {
    const backends = await Promise.all(['one', 'two'].map(body => startBackend(t, responding({ body }))))
    const [one, two] = backends.map(({ address }) => `http://${address}`)
    const at = await folder(t, {
      'a.conf': `<Proxy balancer://b>\nBalancerMember ${one}\nBalancerMember ${two}\n</Proxy>\nProxyPass / balancer://b/\n`,
    })
    const workers = 3
    const options = ['--listen', '127.0.0.1:0', '--manager', '/m', '--metrics', '/metrics', '--workers', `${workers}`]
    const program = new Program(t, ['run', at('a.conf'), ...options, '--server-name', 'main.test'])
    const [port = 0] = await program.ports(workers)
    const state = JSON.parse((await get(t, port, '/m/api/state'))[1])
    const body = { proxy: state.proxies[0].name, balancer: 'b', member: one, settings: { status: '+D' } }
    assert.deepEqual(await change(t, port, '/m', 'set-member', body), [200, '{"changed":1}\n'])
    // The other workers get the change a moment later.
    let requests = 0
    await eventually(async () => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => get(t, port, '/page')))
      requests += 30
      assert.deepEqual(new Set(answers.map(([, text]) => text)), new Set(['two']))
    })
    const [status, metrics] = await get(t, port, '/metrics')
    assert.equal(status, 200)
    assert.match(metrics, new RegExp(`^ws_tunnel_route_requests.* ${requests}$`, 'm'))
  })
})
