import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { WsTunnelOptions } from '@ws-tunnel/core'
import type { ManagerOptions, Sample, State, TunnelList } from '@ws-tunnel/manager'
import { eventually, within } from '../support/gate.ts'
import { type Cleanup, EventStream, FRAMEWORKS, proxyName, type StartServer, startManaged } from './harness.ts'

const OPEN: ManagerOptions = { authorize: () => true, interval: 100 }

for (const [framework, start] of Object.entries<StartServer>(FRAMEWORKS)) {
  suite(`the manager on ${framework}`, () => {
    const startHere = (t: Cleanup, options: ManagerOptions, optionsOf?: (backend: string) => WsTunnelOptions) =>
      startManaged(t, options, optionsOf, start)

    test('serves the page, and redirects a path without the slash at its end', async t => {
      const managed = await startHere(t, OPEN)
      const page = await managed.request('')
      assert.equal(page.status, 200)
      assert.match(await page.text(), /<script type="module" src="main.js">/)
      const moved = await fetch(managed.url.replace(/\/$/, '?a=1'), { redirect: 'manual' })
      assert.equal(moved.status, 308)
      const location = new URL(moved.headers.get('location') ?? '', moved.url)
      assert.equal(location.href, `${managed.url}?a=1`)
    })

    test('lists routes with their hits, and open tunnels', async t => {
      const managed = await startHere(t, OPEN, backend => ({
        routes: [
          { path: '/off', target: false },
          { path: '/chat', target: `ws://${backend}/`, maxTunnels: 3 },
        ],
      }))
      const client = await managed.tunnel('/chat/lobby?secret=1')
      client.send('hello')
      await client.readExact(5)
      const state = await managed.json<State>('api/state')
      const name = proxyName(framework)
      const [proxy] = state.proxies
      assert.deepEqual(
        proxy?.routes.map(({ target, ...route }) => [route.index, route.path, typeof target, route.hits, route.open]),
        [
          [0, '/off', 'boolean', 0, 0],
          [1, '/chat', 'string', 1, 1],
        ],
      )
      assert.deepEqual([proxy?.name, proxy?.open, proxy?.opened, proxy?.bytesFromClient], [name, 1, 1, 5])
      const [tunnel] = state.tunnels.list
      const { id, openedAt, activeAt, ...rest } = tunnel ?? ({} as never)
      assert.deepEqual(rest, {
        proxy: name,
        route: 1,
        client: '127.0.0.1',
        url: '/chat/lobby?…',
        member: managed.backend.address,
        protocol: 'websocket',
        bytesFromClient: 5,
        bytesFromBackend: 5,
        draining: false,
        handovers: 0,
      })
      assert.equal(id, [...managed.proxy.tunnels][0]?.id)
      assert.ok(Math.abs(Date.now() - openedAt) < 60_000 && Math.abs(Date.now() - activeAt) < 60_000)
    })

    test('closes a tunnel, and drains one when it is quiet', async t => {
      const managed = await startHere(t, { ...OPEN, quietTime: 300 })
      const [first, second] = [await managed.tunnel(), await managed.tunnel()]
      const [one, two] = managed.proxy.tunnels
      const [{ name = '' } = {}] = (await managed.json<State>('api/state')).proxies
      const closed = await managed.change('close-tunnels', { proxy: name, ids: [one?.id, 999_999] })
      assert.deepEqual([closed.status, await closed.json()], [200, { changed: 1 }])
      assert.equal((await one?.ended)?.reason, 'closed')
      assert.equal((await first.readAll()).length, 0)

      const busy = setInterval(() => second.send('x'), 20)
      await managed.change('drain-tunnels', { proxy: name, ids: [two?.id] })
      const { list } = await managed.json<TunnelList>('api/tunnels')
      assert.deepEqual(
        list.map(({ id, draining }) => [id, draining]),
        [[two?.id, true]],
      )
      clearInterval(busy)
      assert.equal((await two?.ended)?.reason, 'closed')
    })

    test('streams the history, the state and new samples', async t => {
      const managed = await startHere(t, OPEN)
      await eventually(async () => (await managed.json<Sample[]>('api/history')).length >= 2)
      const response = await managed.request('events')
      assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
      const stream = new EventStream(response)
      assert.ok(((await stream.next<Sample[]>('history')) ?? []).length >= 2)
      assert.equal((await stream.next<State>('state'))?.tunnels.total, 0)
      await managed.tunnel()
      await stream.next<State>('state', ({ tunnels }) => tunnels.total === 1)
      assert.ok((await stream.next<Sample>('sample', ({ open }) => open === 1)) !== undefined)
      await managed.closeManager()
      assert.equal(await within(3_000, 'the end of the stream', stream.next('never')), undefined)
    })

    test('refuses every resource with the same response if authorize does not allow the visit', async t => {
      let access: unknown = false
      const managed = await startHere(t, { authorize: () => access as boolean })
      const paths = ['', 'main.js', 'api/state', 'api/token', 'events', 'api/close-tunnels', 'nowhere']
      const refusals = async (method: string): Promise<string[]> => {
        const responses = await Promise.all(paths.map(path => managed.request(path, { method })))
        const texts = responses.map(async response => `${response.status} ${await response.text()}`)
        return [...new Set(await Promise.all(texts))]
      }
      for (const method of ['GET', 'POST']) assert.deepEqual(await refusals(method), ['403 Forbidden\n'])
      for (const wrong of [undefined, null, 1, 'yes', {}, [true], { challenge: 1 }]) {
        access = wrong
        assert.equal((await managed.request('')).status, 403, JSON.stringify(wrong))
      }
      access = { challenge: 'Basic realm="manager"' }
      assert.deepEqual(await refusals('GET'), ['401 Unauthorized\n'])
      assert.equal((await managed.request('')).headers.get('www-authenticate'), 'Basic realm="manager"')
    })

    test('refuses a change from another site, without the token, or by a visitor who may only view', async t => {
      let access: boolean | 'view' = true
      const managed = await startHere(t, { authorize: () => access })
      await managed.tunnel()
      const ids = Array.from(managed.proxy.tunnels, ({ id }) => id)
      const body = { proxy: proxyName(framework), ids }
      const refused: Record<string, string>[] = [
        { Origin: 'https://evil.example' },
        { Origin: 'null' },
        { Origin: 'http://127.0.0.1:1' },
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site' },
        { 'Sec-Fetch-Site': 'none' },
        { 'X-WS-Tunnel-Token': 'guessed' },
        { 'X-WS-Tunnel-Token': '' },
      ]
      for (const headers of refused)
        assert.equal((await managed.change('close-tunnels', body, headers)).status, 403, JSON.stringify(headers))
      const { token } = await managed.json<{ token: string }>('api/token')
      const post = { method: 'POST', body: JSON.stringify(body) }
      const headers = { 'X-WS-Tunnel-Token': token, 'Content-Type': 'application/json' }
      assert.equal((await managed.request('api/close-tunnels', { ...post, headers })).status, 403, 'without Origin')
      const form = { ...headers, Origin: managed.origin, 'Content-Type': 'text/plain' }
      assert.equal((await managed.request('api/close-tunnels', { ...post, headers: form })).status, 415)
      assert.equal((await managed.request('api/close-tunnels?x')).status, 404, 'with GET')
      for (const path of ['api/token', 'api/state', 'events'])
        assert.equal((await managed.request(path, { headers: { 'Sec-Fetch-Site': 'cross-site' } })).status, 403, path)
      access = 'view'
      assert.deepEqual(await managed.json('api/token'), { token: null })
      const ours = { ...headers, Origin: managed.origin }
      assert.equal(
        (await managed.request('api/close-tunnels', { ...post, headers: ours })).status,
        403,
        'with view access',
      )
      assert.equal(managed.proxy.tunnels.size, 1)
      access = true
      assert.equal((await managed.change('close-tunnels', body)).status, 200)
    })

    test('names what is wrong with a change', async t => {
      const managed = await startHere(t, OPEN)
      const proxy = proxyName(framework)
      const wrong: [action: string, body: unknown, status: number, message: RegExp][] = [
        ['explode', {}, 404, /no such action/],
        ['close-tunnels', { proxy: 'other', ids: [] }, 404, /no such proxy/],
        ['close-tunnels', { proxy }, 400, /`ids`/],
        ['close-tunnels', { proxy, ids: ['1'] }, 400, /`ids`/],
        ['close-tunnels', { proxy, ids: [], more: 1 }, 400, /"more"/],
        ['close-tunnels', [1], 400, /JSON object/],
      ]
      for (const [action, body, status, message] of wrong) {
        const response = await managed.change(action, body)
        assert.equal(response.status, status, JSON.stringify(body))
        assert.match(((await response.json()) as { error: string }).error, message)
      }
      const { status } = await managed.change('close-tunnels', { proxy, ids: [], pad: 'x'.repeat(70_000) })
      assert.ok(status === 413 || status === 400, String(status))
    })

    test('forbids caching, framing and other origins in every response', async t => {
      const managed = await startHere(t, OPEN)
      for (const path of ['', 'main.js', 'page.css', 'uplot.js', 'api/state', 'api/token', 'nowhere']) {
        const { headers } = await managed.request(path)
        assert.match(headers.get('cache-control') ?? '', /^no-store\b/, path)
        const policy = headers.get('content-security-policy') ?? ''
        assert.match(policy, /^default-src 'none'; script-src 'self';/, path)
        assert.doesNotMatch(policy, /unsafe|https?:|\*/)
        assert.equal(headers.get('x-content-type-options'), 'nosniff')
        assert.equal(headers.get('x-frame-options'), 'DENY')
      }
    })

    // On Fastify the manager closes with its server.
    if (framework.startsWith('Fastify')) return
    test('responds with 503 after close()', async t => {
      const managed = await startHere(t, OPEN)
      await managed.closeManager()
      assert.equal((await managed.request('')).status, 503)
    })
  })
}
