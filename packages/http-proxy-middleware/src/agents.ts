import type { EventEmitter } from 'node:events'
import { Agent as HttpAgent, type IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import { authenticatesConnection, type PlainTrip, type Worker } from '@ws-tunnel/core/engine'

const shared = new WeakMap<Worker, HttpAgent>()

/** The pools of clients whose credentials count for the connection (NTLM, Negotiate). No other client may use theirs. */
const own = new WeakMap<EventEmitter, Map<Worker, HttpAgent>>()

/** The pool for a request. Its connections close with the other ones of the backend. */
export function agentOf({ worker, headers, req }: PlainTrip): HttpAgent {
  const client = clientOf(req)
  const known = own.get(client)?.get(worker) ?? (authenticatesConnection(headers) ? undefined : shared.get(worker))
  if (known !== undefined) return known
  const agent = newAgent(worker)
  if (authenticatesConnection(headers)) keepOwn(client, worker, agent)
  else shared.set(worker, agent)
  return agent
}

function newAgent(worker: Worker): HttpAgent {
  const options = { keepAlive: true, keepAliveMsecs: worker.keepAlive || 1_000, ...worker.connectOptions }
  const agent = worker.origin.secure ? new HttpsAgent(options) : new HttpAgent(options)
  if (worker.origin.secure) {
    const connect = agent.createConnection.bind(agent)
    agent.createConnection = (...given) => {
      const socket = connect(...given)
      worker.watchPeer(socket as Socket)
      return socket
    }
  }
  const held = new WeakRef(agent)
  worker.onClose(() => {
    const open = held.deref()
    if (open === undefined) return
    open.maxFreeSockets = 0
    dropIdle(open)
  })
  return agent
}

function keepOwn(client: EventEmitter, worker: Worker, agent: HttpAgent): void {
  const agents = own.get(client) ?? new Map<Worker, HttpAgent>()
  agents.set(worker, agent)
  own.set(client, agents)
  client.once('close', () => agent.destroy())
}

/** What the connection of a client is known by. All requests of an HTTP/2 session have one. */
const clientOf = (req: IncomingMessage): EventEmitter =>
  (req as unknown as Http2ServerRequest).stream?.session ?? req.socket

/** Closes the idle connections of a pool. */
export function dropIdle(agent: HttpAgent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}
