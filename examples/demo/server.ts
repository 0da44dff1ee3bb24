import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  listenForUpgrades,
  type WsTunnelError,
  type WsTunnelMiddleware,
  type WsTunnelOptions,
  wsTunnel,
} from '@ws-tunnel/express'
import { managerPage } from '@ws-tunnel/manager'
import express, { type NextFunction, type Request, type Response } from 'express'
import { type Echo, startBackends } from './backends.ts'
import { greeting } from './greeting.ts'
import { requireToken, session, TOKEN, tokenOrPassword } from './token.ts'

const HOST = process.env['HOST'] || '127.0.0.1'
const PORT = process.env['PORT'] || '8080'
const DRAIN_TIMEOUT = 3_000
if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535) fail(`PORT must be a number from 0 to 65535, got "${PORT}".`)

const backends = await startBackends()
const tunnels = {
  '/ws': tunnel('/ws', `ws://${backends.webSocket}/echo/`),
  '/chat': tunnel('/chat', `ws://${backends.webSocket}/chat/`),
  '/private': tunnel('/private', `ws://${backends.webSocket}/echo/`),
  '/api': tunnel('/api', `http://${backends.api}/`),
  '/balanced': tunnel('/balanced', 'balancer://echo/', {
    echo: {
      members: backends.echoes.map(({ name, address }) => ({
        url: `ws://${address}`,
        routeId: name,
        healthCheck: { method: 'TCP', interval: 2_000 } as const,
      })),
    },
  }),
}

const manager = managerPage(tunnels, { authorize: tokenOrPassword, title: 'ws-tunnel demo' })

const app = express()
app.disable('x-powered-by')
app.set('json spaces', 2)
app.use(secureHeaders)
app.use('/ws', tunnels['/ws'])
app.use('/chat', tunnels['/chat'])
app.use('/private', requireToken, tunnels['/private'])
app.use('/api', tunnels['/api'])
app.use('/balanced', tunnels['/balanced'])
app.post('/kill', kill)
app.use('/session', session)
app.get('/tunnels', listTunnels)
app.use('/manager', manager)
app.use(express.static(join(import.meta.dirname, 'page')))
app.use(respondToError)

const server = createServer(app)
listenForUpgrades(server, app)
server.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EADDRINUSE')
    fail(`Port ${PORT} is in use. Set PORT to another one, or let the system choose: PORT=0 npm start`)
  fail(`Cannot listen on ${HOST}, port ${PORT}: ${error.message}`)
})
server.listen(Number(PORT), HOST, () => console.log(greeting((server.address() as AddressInfo).port, TOKEN)))

let draining = false
process.on('SIGINT', drain)
process.on('SIGTERM', drain)

async function drain(): Promise<void> {
  // Under npm one Ctrl-C arrives twice, once from the terminal and once from npm.
  if (draining) return
  draining = true
  const all = Object.values(tunnels)
  const open = all.reduce((sum, tunnel) => sum + tunnel.tunnels.size, 0)
  console.log(`\nDraining: ${open} open, which have ${DRAIN_TIMEOUT / 1000} s to finish.`)
  manager.close()
  await Promise.all(all.map(tunnel => tunnel.close({ drainTimeout: DRAIN_TIMEOUT })))
  server.close()
  server.closeAllConnections()
  await backends.close()
  console.log('Stopped.')
}

function tunnel(mount: string, target: string, balancers: WsTunnelOptions['balancers'] = {}): WsTunnelMiddleware {
  return wsTunnel({
    balancers,
    target,
    // The credentials are for this app. Its backends do not need them.
    requestHeaders: { unset: ['authorization', 'cookie'] },
    onOpen: ({ tunnel }) => console.log(`#${tunnel.id} opens at ${mount}/`),
    onClose: ({ tunnel, end }) =>
      console.log(
        `#${tunnel.id} ends (${end.reason}): ${end.bytesFromClient} B from the client, ${end.bytesFromBackend} B from the backend`,
      ),
  })
}

/** Sets fields that are also part of every 101 and of every response of a backend. */
function secureHeaders(_req: Request, res: Response, next: NextFunction): void {
  res.set({
    'Content-Security-Policy': [
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'",
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "require-trusted-types-for 'script'; trusted-types 'none'",
    ].join('; '),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  })
  next()
}

/** Kills the last member of the balancer, or starts it again. Only for pages of this origin. */
async function kill(req: Request, res: Response): Promise<void> {
  if (req.get('sec-fetch-site') !== 'same-origin') {
    res.status(403).json({ error: 'Only the page of the demo may kill a member' })
    return
  }
  const echo = backends.echoes.at(-1) as Echo
  res.json({ name: echo.name, runs: await echo.toggle() })
}

function listTunnels(_req: Request, res: Response): void {
  const open = Object.entries(tunnels).flatMap(([mount, { tunnels }]) =>
    Array.from(tunnels, ({ info, openedAt, bytesFromClient, bytesFromBackend }) => ({
      mount: `${mount}/`,
      client: info.clientAddress,
      openedAt,
      bytesFromClient,
      bytesFromBackend,
    })),
  )
  res.set('Cache-Control', 'no-store').json(open)
}

/**
 * Responds to errors of the app. A tunnel that fails before its 101 is such an error, with a status and a stable code.
 */
function respondToError(error: Partial<WsTunnelError>, _req: Request, res: Response, next: NextFunction): void {
  const { statusCode = 500, code = 'ERROR', message, expose, headers } = error
  if (statusCode >= 500) console.error(message)
  const body = { error: code, message: expose ? message : 'See the output of the gateway' }
  if (res.headersSent) next(error)
  else res.status(statusCode).set(headers).json(body)
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
