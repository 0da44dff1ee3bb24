import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

/** The host and port of each backend. A gateway in front of them adds the scheme and the path. */
export interface Backends {
  /** Serves `/echo/` and `/chat/`, over WebSocket and over HTTP. */
  webSocket: string
  /** Serves `/time`, `/echo` and `/headers`, over HTTP only. */
  api: string
  /** Three backends that echo, with a name before each text. */
  echoes: readonly Echo[]
  close(): Promise<void>
}

/** A backend that can be killed, to see what the gateway does. */
export interface Echo {
  name: string
  address: string
  /** Ends its connections and stops listening, or listens again. Resolves with whether it runs. */
  toggle(): Promise<boolean>
  close(): Promise<void>
}

/** Starts the backends on loopback, each on a free port. */
export async function startBackends(): Promise<Backends> {
  const guests = new Map<WebSocket, string>()
  const webSocketServer = createServer((req, res) => respondWithHint(req, res, [...guests.values()]))
  const sockets = new WebSocketServer({ server: webSocketServer, maxPayload: 1024 * 1024 })
  sockets.on('connection', (socket, req) => {
    // A frame that breaks RFC 6455 ends its connection. Without a listener the event would end the process.
    socket.on('error', () => {})
    if (isChat(req)) chat(socket, nickname(req), guests)
    else socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const apiServer = createServer(respondApi)
  const [webSocket, api] = await Promise.all([listen(webSocketServer), listen(apiServer)])
  const echoes = await Promise.all(['ann', 'bob', 'cy'].map(startEcho))

  return {
    webSocket,
    api,
    echoes,
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      await Promise.all([stop(webSocketServer), stop(apiServer), ...echoes.map(echo => echo.close())])
    },
  }
}

const isChat = (req: IncomingMessage): boolean => req.url?.startsWith('/chat/') ?? false

function chat(socket: WebSocket, name: string, guests: Map<WebSocket, string>): void {
  const sendToAll = (text: string): void => {
    for (const guest of guests.keys()) guest.send(text)
  }
  guests.set(socket, name)
  sendToAll(`* ${name} joined (${guests.size} here)`)
  socket.on('message', data => sendToAll(`${name}: ${data}`))
  socket.on('close', () => {
    guests.delete(socket)
    sendToAll(`* ${name} left (${guests.size} here)`)
  })
}

/** The name in `?name=ann`, on one line and at most 24 characters long, or else a generated name. */
function nickname(req: IncomingMessage): string {
  const wanted = new URLSearchParams(req.url?.split('?')[1]).get('name') ?? ''
  const name = wanted
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, 24)
  return name === '' ? `guest-${Math.floor(Math.random() * 900 + 100)}` : name
}

/** The response of the WebSocket backend to a request that is not an upgrade. */
function respondWithHint(req: IncomingMessage, res: ServerResponse, here: string[]): void {
  const common = { received: `${req.method} ${req.url}`, over: `plain HTTP/${req.httpVersion}` }
  if (isChat(req))
    json(res, 200, {
      backend: 'chat',
      ...common,
      here,
      hint: 'Upgrade to websocket to join the chat, with your name in ?name=',
    })
  else json(res, 200, { backend: 'echo', ...common, hint: 'Upgrade to websocket, and every frame comes back' })
}

async function respondApi(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const route = `${req.method} ${req.url?.split('?')[0]}`
  if (route === 'GET /time') json(res, 200, { time: new Date().toISOString() })
  else if (route === 'GET /headers') json(res, 200, { received: `${req.method} ${req.url}`, headers: req.headers })
  else if (route === 'POST /echo') await respondEcho(req, res)
  else json(res, 404, { error: `${route} does not exist`, try: ['GET /time', 'GET /headers', 'POST /echo'] })
}

async function respondEcho(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let body = ''
  try {
    for await (const text of req.setEncoding('utf8')) {
      body += text
      if (body.length > 1024 * 1024) return json(res, 413, { error: 'The body must not be larger than 1 MiB' })
    }
  } catch {
    // The client disconnected before the end of its body.
    return
  }
  json(res, 200, { type: req.headers['content-type'], bytes: Buffer.byteLength(body), body })
}

function json(res: ServerResponse, status: number, value: object): void {
  res
    .writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' })
    .end(`${JSON.stringify(value, null, 2)}\n`)
}

async function startEcho(name: string): Promise<Echo> {
  const server = createServer((req, res) => json(res, 200, { backend: name, received: `${req.method} ${req.url}` }))
  const sockets = new WebSocketServer({ server, maxPayload: 1024 * 1024 })
  sockets.on('error', () => {})
  sockets.on('connection', socket => {
    socket.on('error', () => {})
    socket.on('message', data => socket.send(`${name}: ${data}`))
  })
  const address = await listen(server)
  const close = async (): Promise<void> => {
    for (const socket of sockets.clients) socket.terminate()
    if (server.listening) await stop(server)
  }
  return {
    name,
    address,
    close,
    async toggle() {
      if (server.listening) await close()
      else await listen(server, Number(address.split(':')[1]))
      return server.listening
    },
  }
}

async function listen(server: Server, port = 0): Promise<string> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function stop(server: Server): Promise<void> {
  const stopped = new Promise(resolve => server.close(resolve))
  server.closeAllConnections()
  await stopped
}
