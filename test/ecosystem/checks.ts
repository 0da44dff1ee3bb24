import assert from 'node:assert/strict'
import { io } from 'socket.io-client'
import { type Program, sendMessage } from '../docs/program.ts'
import { eventually } from '../support/gate.ts'

const text = async (response: Response | Promise<Response>): Promise<string> => (await response).text()

/** A request and a WebSocket through the tunnel at `/chat`, as the user `ada` if the app knows users, and a page of the app. */
export async function servesBoth(program: Program, user: 'ada' | 'guest' = 'guest'): Promise<void> {
  const { url } = program
  const query = '?user=ada'
  assert.equal(await text(program.get(`/chat/a${query}`)), `GET /a${query} of ${user}: `)
  const posted = fetch(`${url}/chat/b${query}`, {
    method: 'POST',
    body: '{"a":1}',
    headers: { 'Content-Type': 'application/json' },
  })
  assert.equal(await text(posted), `POST /b${query} of ${user}: {"a":1}`)
  assert.equal(await sendMessage(program.socketUrl(`/chat/c${query}`), 'hello'), `/c${query} of ${user}: hello`)
  assert.match(await text(program.get('/?user=ada')), /\bapp\b/)
}

/** Waits for a line of the output that matches. */
export async function logs(program: Program, line: RegExp): Promise<void> {
  await eventually(() => line.test(program.output)).catch(() => assert.match(program.output, line))
}

export async function speaksSocketIo(program: Program): Promise<void> {
  const socket = io(program.url, { transports: ['websocket'], forceNew: true, reconnection: false })
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject))
    assert.equal(await socket.emitWithAck('say', 'hello'), 'socket.io hello')
  } finally {
    socket.close()
  }
}
