import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type OutgoingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createTunnelProxy } from '@ws-tunnel/core'
import { managerPage, type State } from '@ws-tunnel/manager'
import { eventually } from '../support/gate.ts'

test('serves the page, the API, changes and live events over HTTP/2', async t => {
  const proxy = createTunnelProxy({ target: false })
  const manager = managerPage(proxy, { unsafeOpen: true, interval: 100 })
  const server = createServer(manager as never).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const session = connect(origin)
  t.after(async () => {
    manager.close()
    session.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  const request = async (headers: OutgoingHttpHeaders, body?: string) => {
    const stream = session.request(headers, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    const [head] = (await once(stream, 'response')) as [Record<string, string>]
    let text = ''
    for await (const chunk of stream.setEncoding('utf8')) text += chunk
    return { status: head[':status'], head, text }
  }
  assert.match((await request({ ':path': '/' })).text, /<title>ws-tunnel manager/)
  const state = JSON.parse((await request({ ':path': '/api/state' })).text) as State
  assert.equal(state.tunnels.total, 0)
  const { token } = JSON.parse((await request({ ':path': '/api/token' })).text) as { token: string }
  const post = { ':method': 'POST', ':path': '/api/close-tunnels', 'content-type': 'application/json' }
  const body = '{"proxy":"main","ids":[]}'
  const headers = { ...post, 'x-ws-tunnel-token': token, origin }
  assert.equal((await request(headers, body)).text, '{"changed":0}\n')
  assert.equal((await request({ ...headers, origin: 'http://evil.example' }, body)).status, 403)
  const live = session.request({ ':path': '/events' })
  let events = ''
  live.setEncoding('utf8').on('data', text => {
    events += text
  })
  await eventually(() => /event: history.*event: state.*event: sample/s.test(events))
  manager.close()
  await once(live, 'end')
})
