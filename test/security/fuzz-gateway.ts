import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenForUpgrades, wsTunnel } from '@ws-tunnel/express'
import express, { type ErrorRequestHandler } from 'express'
import { async } from '../support/pump.ts'
import { ca } from '../support/tls.ts'

/** The ports of the fuzzer's backends, by their behaviour. */
export interface BackendPorts {
  /** Reads a head and runs the script of the case that it names. */
  scripted: number
  /** The same over TLS. */
  encrypted: number
  /** Sends RST at once. */
  resets: number
  /** Sends FIN at once. */
  ends: number
  /** Sends bytes first that are not HTTP. */
  speaks: number
  /** Nothing listens there. */
  refuses: number
}

/** Messages of the fuzzer to the gateway. */
export type Command = { start: BackendPorts } | { report: true } | { stop: true }

/** Messages of the gateway to the fuzzer. */
export type Report =
  | { port: number }
  | { fault: 'unhandledRejection' | 'uncaughtException'; stack: string }
  | { opened: number; closed: number; open: number; timers: number }

const send = (report: Report): void => {
  process.send?.(report)
}

const fault = (kind: 'unhandledRejection' | 'uncaughtException') => (reason: unknown) => {
  send({ fault: kind, stack: reason instanceof Error ? `${reason.stack}` : String(reason) })
}
process.on('unhandledRejection', fault('unhandledRejection'))
process.on('uncaughtException', fault('uncaughtException'))

let opened = 0
let closed = 0
let stopping = false
const tunnelSets: ReadonlySet<unknown>[] = []

function start(ports: BackendPorts): void {
  const backend = `127.0.0.1:${ports.scripted}`
  const counted = {
    async,
    connectTimeout: 20_000,
    handshakeTimeout: 20_000,
    halfOpenTimeout: 5_000,
    onOpen: () => {
      opened++
    },
    onClose: () => {
      closed++
    },
  }
  const own = [
    { path: '/secret', target: false },
    { path: '/own', target: false },
  ] as const

  const app = express()
  app.disable('x-powered-by')
  app.get('/own', (_req, res) => {
    res.send('own')
  })
  app.use('/json', express.json({ limit: '1mb' }))
  app.use('/async', (_req, _res, next) => {
    setImmediate(() => setImmediate(next))
  })
  const mounted = wsTunnel({ ...counted, target: `ws://${backend}/mounted` })
  app.use('/mount/:room', mounted)
  const tunnel = wsTunnel({
    ...counted,
    routes: [
      ...own,
      { path: '/ws', target: `ws://${backend}/ws` },
      { path: /^\/rx\/(\w+)\/(.*)$/, target: `ws://${backend}/rx/$2/$1` },
      { path: '/pattern/:id', target: `ws://${backend}/pattern/:id` },
      { path: '/http', target: `http://${backend}/http` },
      { path: '/nofb', target: `ws://${backend}/nofb`, fallback: false },
      { path: '/any', target: `ws://${backend}/any`, upgrade: 'ANY' },
      { path: '/none', target: `ws://${backend}/none`, upgrade: 'NONE' },
      { path: '/list', target: `ws://${backend}/list`, upgrade: ['websocket', 'foo', 'bar/2.0'] },
      { path: '/strict', target: `ws://${backend}/strict`, strictHandshake: true },
      { path: '/json', target: `http://${backend}/json` },
      { path: '/async', target: `ws://${backend}/async` },
      {
        path: '/function',
        target: async req => {
          await new Promise(resolve => setImmediate(resolve))
          if (req.headers['x-throw'] !== undefined) throw new Error('x-throw')
          return `ws://${backend}/function`
        },
      },
      { path: '/slow', target: `ws://${backend}/slow`, handshakeTimeout: 200, halfOpenTimeout: 200, idleTimeout: 400 },
      { path: '/wss', target: `wss://localhost:${ports.encrypted}/wss`, tls: { ca } },
      { path: '/resets', target: `ws://127.0.0.1:${ports.resets}/` },
      { path: '/ends', target: `ws://127.0.0.1:${ports.ends}/` },
      { path: '/speaks', target: `ws://127.0.0.1:${ports.speaks}/` },
      { path: '/refuses', target: `ws://127.0.0.1:${ports.refuses}/` },
      { path: '/wss-resets', target: `wss://127.0.0.1:${ports.resets}/` },
      { path: '/wss-ends', target: `wss://127.0.0.1:${ports.ends}/` },
      { path: '/wss-speaks', target: `wss://127.0.0.1:${ports.speaks}/` },
      { path: '/wss-refuses', target: `wss://127.0.0.1:${ports.refuses}/` },
    ],
  })
  app.use(tunnel)
  app.use('/secret', (_req, res) => {
    res.status(403).send('secret')
  })
  const respondToError: ErrorRequestHandler = (error, _req, res, next) => {
    if (res.headersSent) next(error)
    else res.status(error.statusCode ?? 500).json({ code: error.code ?? 'none' })
  }
  app.use(respondToError)
  tunnelSets.push(mounted.tunnels, tunnel.tunnels)

  const server = createServer(app)
  listenForUpgrades(server, app)
  server.listen(0, '127.0.0.1', 1024, () => send({ port: (server.address() as AddressInfo).port }))

  process.on('message', async (command: Command) => {
    if ('report' in command) {
      const timers = process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
      send({ opened, closed, open: tunnelSets.reduce((sum, set) => sum + set.size, 0), timers })
    }
    if ('stop' in command) {
      stopping = true
      server.close()
      await Promise.all([mounted.close({ drainTimeout: 0 }), tunnel.close({ drainTimeout: 0 })])
      process.disconnect()
    }
  })
}

// The fuzzer has ended.
process.on('disconnect', () => {
  if (!stopping) process.exit(1)
})

process.once('message', (command: Command) => {
  if ('start' in command) start(command.start)
})
