import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, before, suite, test } from 'node:test'
import type { State } from '@ws-tunnel/manager'
import { WebSocket } from 'ws'
import { eventually } from '../support/gate.ts'
import { peer } from '../support/peers.ts'
import { type Demo, runDemo, startDemo } from './start-demo.ts'

/** Connects a client that keeps its messages, so that none is lost between two awaits. */
async function connect(demo: Demo, path: string, headers: Record<string, string> = {}): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${demo.port}${path}`, { headers })
  const messages: string[] = []
  socket.on('message', data => messages.push(String(data)))
  await once(socket, 'open')
  const next = async (): Promise<string> => {
    while (messages.length === 0) await once(socket, 'message')
    return messages.shift() as string
  }
  const disconnect = async (): Promise<void> => {
    socket.close()
    await once(socket, 'close')
  }
  return { socket, next, disconnect }
}

interface Client {
  socket: WebSocket
  next: () => Promise<string>
  disconnect: () => Promise<void>
}

/** The status and body of a refused upgrade. */
async function refusal(demo: Demo, path: string): Promise<{ status: number | undefined; body: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${demo.port}${path}`)
  const [, res] = await once(socket, 'unexpected-response')
  let body = ''
  for await (const text of res.setEncoding('utf8')) body += text
  return { status: res.statusCode, body }
}

suite('the demo gateway', () => {
  let demo: Demo
  before(async () => {
    demo = await startDemo()
  })
  after(() => demo.stop())

  test('shows its manager only to a user with the password', async () => {
    const getState = (headers: Record<string, string>) => fetch(`${demo.origin}/manager/api/state`, { headers })
    const refused = await getState({})
    assert.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Basic realm="ws-tunnel demo"'])
    assert.equal((await getState({ authorization: `Basic ${btoa('ann:wrong')}` })).status, 401)
    const state = (await (await getState({ authorization: `Basic ${btoa('ann:open-sesame')}` })).json()) as State
    assert.deepEqual(
      state.proxies.map(({ name }) => name),
      ['/ws', '/chat', '/private', '/api', '/balanced'],
    )
  })

  test('echoes text and bytes through /ws/', async () => {
    const client = await connect(demo, '/ws/any/path?x=1')
    client.socket.send('héllo')
    assert.equal(await client.next(), 'héllo')
    client.socket.send(Buffer.from([0, 255, 1]), { binary: true })
    const [data, isBinary] = await once(client.socket, 'message')
    assert.deepEqual([...data], [0, 255, 1])
    assert.equal(isBinary, true)
    await client.disconnect()
  })

  test('proxies the path of a tunnel as plain HTTP without an upgrade', async () => {
    const response = await fetch(`${demo.origin}/ws/any?x=1`)
    assert.equal(response.status, 200)
    const body = (await response.json()) as { backend: string; received: string }
    assert.equal(body.backend, 'echo')
    assert.equal(body.received, 'GET /echo/any?x=1')
  })

  test('sends to every guest of /chat/ who joins, writes and leaves', async () => {
    const ann = await connect(demo, '/chat/?name=ann')
    assert.equal(await ann.next(), '* ann joined (1 here)')
    const bob = await connect(demo, '/chat/?name=bob%0Asmith')
    assert.equal(await ann.next(), '* bob smith joined (2 here)')
    assert.equal(await bob.next(), '* bob smith joined (2 here)')
    const { here } = (await (await fetch(`${demo.origin}/chat/`)).json()) as { here: string[] }
    assert.deepEqual(here, ['ann', 'bob smith'])
    bob.socket.send('hi')
    assert.equal(await ann.next(), 'bob smith: hi')
    assert.equal(await bob.next(), 'bob smith: hi')
    await bob.disconnect()
    assert.equal(await ann.next(), '* bob smith left (1 here)')
    await ann.disconnect()
  })

  test('generates a name for a guest without one', async () => {
    const guest = await connect(demo, '/chat/')
    assert.match(await guest.next(), /^\* guest-\d{3} joined/)
    await guest.disconnect()
  })

  test('refuses an upgrade to /private/ with the 401 of its own auth, as JSON', async () => {
    for (const path of ['/private/', '/private/?token=wrong']) {
      const { status, body } = await refusal(demo, path)
      assert.equal(status, 401)
      assert.equal(JSON.parse(body).error, 'unauthorized')
    }
  })

  test('opens /private/ for a token in the query, in Authorization or in the cookie that signing in sets', async () => {
    const signIn = await fetch(`${demo.origin}/session`, { method: 'POST' })
    const cookie = signIn.headers.get('set-cookie') ?? ''
    assert.match(cookie, /HttpOnly/)
    assert.match(cookie, /SameSite=Strict/)
    const clients = [
      await connect(demo, '/private/?token=open-sesame'),
      await connect(demo, '/private/', { authorization: 'Bearer open-sesame' }),
      await connect(demo, '/private/', { cookie: `theme=dark; ${cookie.split(';')[0]}` }),
    ]
    for (const client of clients) {
      client.socket.send('in')
      assert.equal(await client.next(), 'in')
      await client.disconnect()
    }
  })

  test('reports whether a browser is signed in, and signs it out', async () => {
    const signedIn = async (headers = {}): Promise<unknown> =>
      (await fetch(`${demo.origin}/session`, { headers })).json()
    assert.deepEqual(await signedIn(), { signedIn: false })
    assert.deepEqual(await signedIn({ cookie: 'ws-tunnel-demo=open-sesame' }), { signedIn: true })
    const signOut = await fetch(`${demo.origin}/session`, { method: 'DELETE' })
    assert.match(signOut.headers.get('set-cookie') ?? '', /^ws-tunnel-demo=;.*Expires=Thu, 01 Jan 1970/)
  })

  test('serves the HTTP API under /api/ and withholds the credentials of the client', async () => {
    const headers = { authorization: 'Bearer open-sesame', cookie: 'ws-tunnel-demo=open-sesame', 'x-own': 'kept' }
    const time = (await (await fetch(`${demo.origin}/api/time`)).json()) as { time: string }
    assert.ok(Math.abs(Date.parse(time.time) - Date.now()) < 60_000)
    const seen = (await (await fetch(`${demo.origin}/api/headers?q=1`, { headers })).json()) as {
      received: string
      headers: Record<string, string>
    }
    assert.equal(seen.received, 'GET /headers?q=1')
    assert.equal(seen.headers['x-own'], 'kept')
    assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(seen.headers['authorization'], undefined)
    assert.equal(seen.headers['cookie'], undefined)
    const echo = await fetch(`${demo.origin}/api/echo`, { method: 'POST', body: 'grüezi' })
    assert.deepEqual(await echo.json(), { type: 'text/plain;charset=UTF-8', bytes: 7, body: 'grüezi' })
    assert.equal((await fetch(`${demo.origin}/api/nothing`)).status, 404)
  })

  test('responds to an upgrade with 404 on an unknown path, and as plain HTTP on a path of the API', async () => {
    assert.equal((await refusal(demo, '/nowhere')).status, 404)
    const api = await refusal(demo, '/api/time')
    assert.equal(api.status, 200)
    assert.match(api.body, /"time"/)
  })

  test('lists the open tunnels at /tunnels', async () => {
    const list = async (): Promise<Record<string, unknown>[]> =>
      (await (await fetch(`${demo.origin}/tunnels`)).json()) as Record<string, unknown>[]
    await eventually(async () => assert.deepEqual(await list(), []))
    const client = await connect(demo, '/private/?token=open-sesame')
    client.socket.send('four')
    await client.next()
    const [tunnel, ...others] = await list()
    assert.deepEqual(others, [])
    const { openedAt, ...rest } = tunnel as { openedAt: number }
    // A client's frame is a head of 2 bytes, a mask of 4 and the text; a server's has no mask (RFC 6455 5.2).
    assert.deepEqual(rest, { mount: '/private/', client: '127.0.0.1', bytesFromClient: 10, bytesFromBackend: 6 })
    assert.ok(Math.abs(openedAt - Date.now()) < 60_000)
    await client.disconnect()
    await demo.printed('ends (finished): 16 B from the client')
    assert.deepEqual(await list(), [])
  })

  test('sends its security headers with the page, with responses of a backend and with a 101', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${demo.port}/ws/`)
    const [[switched]] = await Promise.all([once(socket, 'upgrade'), once(socket, 'open')])
    socket.terminate()
    const policies = [
      (await fetch(demo.origin)).headers.get('content-security-policy'),
      (await fetch(`${demo.origin}/api/time`)).headers.get('content-security-policy'),
      switched.headers['content-security-policy'],
    ]
    for (const policy of policies) assert.match(policy ?? '', /^default-src 'none'; script-src 'self'/)
  })

  test('serves a page that loads nothing from another origin', async () => {
    for (const [file, type] of [
      ['', 'text/html'],
      ['page.css', 'text/css'],
      ['page.js', 'text/javascript'],
      ['icon.svg', 'image/svg+xml'],
    ]) {
      const response = await fetch(`${demo.origin}/${file}`)
      assert.equal(response.status, 200)
      assert.ok(response.headers.get('content-type')?.startsWith(type as string))
      const links = (await response.text()).match(/(?:https?:)?\/\/[a-z][\w.-]+/g) ?? []
      assert.deepEqual(
        links.filter(link => link !== 'http://www.w3.org'),
        [],
      )
    }
  })

  const curl = peer('curl', () => spawnSync('curl', ['--version']).status === 0)
  test('prints curl commands that run unchanged', curl, async () => {
    const lines = demo
      .stdout()
      .split('\n')
      .map(line => line.trim())
      .filter(line => line.startsWith('curl '))
    const statuses = await Promise.all(
      lines.map(
        line =>
          new Promise<string | undefined>(resolve => {
            execFile('sh', ['-c', line], (_error, stdout) => resolve(/^HTTP\/1\.1 (\d+)/.exec(stdout)?.[1]))
          }),
      ),
    )
    assert.deepEqual(statuses, ['101', '200', '401', '200', '200'])
  })
})

test('prints one line and exits with 1 if the port is in use', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const demo = runDemo(String(port))
  assert.equal(await demo.exited, 1)
  assert.match(demo.stderr(), new RegExp(`^Port ${port} is in use\\. .*PORT=0 npm start\n$`, 'm'))
  assert.doesNotMatch(demo.stderr(), /^ +at /m)
  other.close()
})

test('prints one line and exits with 1 if PORT is not a port', async () => {
  for (const demo of ['http', '-1', '65536', '80.5'].map(runDemo)) {
    assert.equal(await demo.exited, 1)
    assert.match(demo.stderr(), /^PORT must be a number from 0 to 65535, got ".*"\.\n$/m)
    assert.doesNotMatch(demo.stderr(), /^ +at /m)
  }
})

suite('the demo gateway at Ctrl-C', { concurrency: true }, () => {
  for (const signals of [['SIGINT'], ['SIGINT', 'SIGINT'], ['SIGTERM']] as const) {
    test(`drains at ${signals.join(' and ')}: the open tunnel works until the gateway ends it, and the exit code is 0`, async t => {
      const demo = await startDemo()
      t.after(demo.stop)
      const client = await connect(demo, '/ws/')
      const closed = once(client.socket, 'close')
      for (const signal of signals) {
        demo.child.kill(signal)
        await demo.printed('Draining: 1 open')
      }
      client.socket.send('still here')
      assert.equal(await client.next(), 'still here')
      assert.equal((await refusal(demo, '/ws/')).status, 503)
      const [code] = await closed
      assert.equal(code, 1006)
      assert.equal(await demo.exited, 0)
      assert.match(demo.stdout(), /ends \(shutdown\)[\s\S]*Stopped\.\n$/)
    })
  }

  test('stops at once if no tunnel is open', async t => {
    const demo = await startDemo()
    t.after(demo.stop)
    await fetch(`${demo.origin}/api/time`)
    demo.child.kill('SIGINT')
    assert.equal(await demo.exited, 0)
    assert.match(demo.stdout(), /Draining: 0 open/)
  })
})
