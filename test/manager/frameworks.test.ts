import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { ManagerOptions, Sample, State, TunnelList } from '@ws-tunnel/manager'
import { eventually, within } from '../support/gate.ts'
import { manage, Stream, starts } from './harness.ts'

const OPEN: ManagerOptions = { authorize: () => true, interval: 100 }

for (const [framework, start] of Object.entries(starts)) {
  suite(`the manager on ${framework}`, () => {
    test('answers with its page, and sends visitors to the slash behind its name', async t => {
      const managed = await manage(t, start, OPEN)
      const page = await managed.ask('')
      assert.equal(page.status, 200)
      assert.match(await page.text(), /<script type="module" src="main.js">/)
      const moved = await fetch(managed.url.replace(/\/$/, '?a=1'), { redirect: 'manual' })
      assert.equal(moved.status, 308)
      const location = new URL(moved.headers.get('location') ?? '', moved.url)
      assert.equal(location.href, `${managed.url}?a=1`)
    })

    test('tells routes with their hits, and tunnels with all there is to know', async t => {
      const managed = await manage(t, start, OPEN, backend => ({
        routes: [
          { path: '/off', target: false },
          { path: '/chat', target: `ws://${backend}/`, maxTunnels: 3 },
        ],
      }))
      const client = await managed.tunnel('/chat/lobby?secret=1')
      client.send('hello')
      await client.readExact(5)
      const state = await managed.json<State>('api/state')
      const name = framework.startsWith('Fastify') ? '1' : 'main'
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
      const { id, openedAt, activeAt, ...facts } = tunnel ?? ({} as never)
      assert.deepEqual(facts, {
        proxy: name,
        route: 1,
        client: '127.0.0.1',
        url: '/chat/lobby?…',
        member: managed.backend.address,
        protocol: 'websocket',
        bytesFromClient: 5,
        bytesFromBackend: 5,
        draining: false,
      })
      assert.equal(id, [...managed.proxy.tunnels][0]?.id)
      assert.ok(Math.abs(Date.now() - openedAt) < 60_000 && Math.abs(Date.now() - activeAt) < 60_000)
    })

    test('closes a tunnel, and drains one when it is quiet', async t => {
      const managed = await manage(t, start, { ...OPEN, quietTime: 300 })
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

    test('tells live: what was, what is and what comes', async t => {
      const managed = await manage(t, start, OPEN)
      await eventually(async () => (await managed.json<Sample[]>('api/history')).length >= 2)
      const response = await managed.ask('events')
      assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
      const stream = new Stream(response)
      assert.ok(((await stream.next<Sample[]>('history')) ?? []).length >= 2)
      assert.equal((await stream.next<State>('state'))?.tunnels.total, 0)
      await managed.tunnel()
      await stream.next<State>('state', ({ tunnels }) => tunnels.total === 1)
      assert.ok((await stream.next<Sample>('sample', ({ open }) => open === 1)) !== undefined)
      await managed.closeManager()
      assert.equal(await within(3_000, 'the end of the stream', stream.next('never')), undefined)
    })

    test('turns away whom authorize does not let in, from everything and with the same words', async t => {
      let access: unknown = false
      const managed = await manage(t, start, { authorize: () => access as boolean })
      const paths = ['', 'main.js', 'api/state', 'api/token', 'events', 'api/close-tunnels', 'nowhere']
      const refusals = async (method: string): Promise<string[]> => {
        const answers = await Promise.all(paths.map(path => managed.ask(path, { method })))
        const told = answers.map(async answer => `${answer.status} ${await answer.text()}`)
        return [...new Set(await Promise.all(told))]
      }
      for (const method of ['GET', 'POST']) assert.deepEqual(await refusals(method), ['403 Forbidden\n'])
      for (const nothing of [undefined, null, 1, 'yes', {}, [true], { challenge: 1 }]) {
        access = nothing
        assert.equal((await managed.ask('')).status, 403, JSON.stringify(nothing))
      }
      access = { challenge: 'Basic realm="manager"' }
      assert.deepEqual(await refusals('GET'), ['401 Unauthorized\n'])
      assert.equal((await managed.ask('')).headers.get('www-authenticate'), 'Basic realm="manager"')
    })

    test('makes no change for another site, for a request without the token, nor for one who may only look', async t => {
      let access: boolean | 'view' = true
      const managed = await manage(t, start, { authorize: () => access })
      await managed.tunnel()
      const ids = Array.from(managed.proxy.tunnels, ({ id }) => id)
      const body = { proxy: framework.startsWith('Fastify') ? '1' : 'main', ids }
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
      assert.equal((await managed.ask('api/close-tunnels', { ...post, headers })).status, 403, 'no origin at all')
      const form = { ...headers, Origin: managed.origin, 'Content-Type': 'text/plain' }
      assert.equal((await managed.ask('api/close-tunnels', { ...post, headers: form })).status, 415)
      assert.equal((await managed.ask('api/close-tunnels?x')).status, 404, 'by GET')
      for (const path of ['api/token', 'api/state', 'events'])
        assert.equal((await managed.ask(path, { headers: { 'Sec-Fetch-Site': 'cross-site' } })).status, 403, path)
      access = 'view'
      assert.deepEqual(await managed.json('api/token'), { token: null })
      const ours = { ...headers, Origin: managed.origin }
      assert.equal((await managed.ask('api/close-tunnels', { ...post, headers: ours })).status, 403, 'may only look')
      assert.equal(managed.proxy.tunnels.size, 1)
      access = true
      assert.equal((await managed.change('close-tunnels', body)).status, 200)
    })

    test('says what is wrong with a change', async t => {
      const managed = await manage(t, start, OPEN)
      const proxy = framework.startsWith('Fastify') ? '1' : 'main'
      const wrong: [action: string, body: unknown, status: number, message: RegExp][] = [
        ['explode', {}, 404, /no such action/],
        ['close-tunnels', { proxy: 'other', ids: [] }, 404, /no such proxy/],
        ['close-tunnels', { proxy }, 400, /`ids`/],
        ['close-tunnels', { proxy, ids: ['1'] }, 400, /`ids`/],
        ['close-tunnels', { proxy, ids: [], more: 1 }, 400, /"more"/],
        ['close-tunnels', [1], 400, /JSON object/],
      ]
      for (const [action, body, status, message] of wrong) {
        const answer = await managed.change(action, body)
        assert.equal(answer.status, status, JSON.stringify(body))
        assert.match(((await answer.json()) as { error: string }).error, message)
      }
      const { status } = await managed.change('close-tunnels', { proxy, ids: [], pad: 'x'.repeat(70_000) })
      assert.ok(status === 413 || status === 400, String(status))
    })

    test('lets nothing be kept, framed or loaded from elsewhere, whatever it answers', async t => {
      const managed = await manage(t, start, OPEN)
      for (const path of ['', 'main.js', 'page.css', 'uplot.js', 'api/state', 'api/token', 'nowhere']) {
        const { headers } = await managed.ask(path)
        assert.match(headers.get('cache-control') ?? '', /^no-store\b/, path)
        const policy = headers.get('content-security-policy') ?? ''
        assert.match(policy, /^default-src 'none'; script-src 'self';/, path)
        assert.doesNotMatch(policy, /unsafe|https?:|\*/)
        assert.equal(headers.get('x-content-type-options'), 'nosniff')
        assert.equal(headers.get('x-frame-options'), 'DENY')
      }
    })

    // On Fastify it goes with its server.
    if (framework.startsWith('Fastify')) return
    test('gives 503 once it is closed', async t => {
      const managed = await manage(t, start, OPEN)
      await managed.closeManager()
      assert.equal((await managed.ask('')).status, 503)
    })
  })
}
