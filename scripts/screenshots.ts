/**
 * Takes the screenshots of the manager: `node scripts/screenshots.ts [folder]`, after a build. It needs Chromium, whose path
 * is in CHROMIUM_PATH or /usr/bin/chromium. Those of docs/manager.md are docs/screenshots.
 */
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createTunnelProxy, listenForUpgrades } from '@ws-tunnel/core'
import { managerPage } from '@ws-tunnel/manager'
import { chromium, type Page } from 'playwright-core'
import { WebSocketServer } from 'ws'

const folder = process.argv[2] ?? join(import.meta.dirname, '../docs/screenshots')
/** How long traffic flows before the pictures, ms: charts need some samples. */
const WARM_UP = 20_000

const HANDSHAKE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
/** A masked text frame of one byte. */
const FRAME = Buffer.from('818100000000' + '78', 'hex')

const listen = async (server: ReturnType<typeof createServer>): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const sockets = new Set<Socket>()

async function open(port: number, path: string): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${HANDSHAKE}`)
  await new Promise(resolve => socket.once('data', resolve).once('close', resolve))
  socket.resume()
}

const backends = await Promise.all(
  ['one', 'two', 'three'].map(async () => {
    const server = createServer()
    const echo = new WebSocketServer({ server })
    echo.on('connection', socket => socket.on('message', data => socket.send(`${data} and more than that`)))
    return { port: await listen(server), server, echo }
  }),
)
const [one, two, three] = backends as [(typeof backends)[0], (typeof backends)[0], (typeof backends)[0]]
const member = (port: number, routeId: string) => ({
  url: `ws://127.0.0.1:${port}`,
  routeId,
  healthCheck: { method: 'TCP', interval: 2_000 } as const,
})
const proxy = createTunnelProxy({
  balancers: {
    chat: {
      stickySession: 'SID',
      lbMethod: 'bybusyness',
      members: [member(one.port, 'ann'), member(two.port, 'bob'), member(three.port, 'cy')],
    },
    feeds: {
      members: [
        { url: `ws://127.0.0.1:${one.port}/feeds`, loadFactor: 2 },
        { url: `ws://127.0.0.1:${two.port}/feeds` },
      ],
    },
  },
  routes: [
    { path: '/chat', target: 'balancer://chat/' },
    { path: '/feeds', target: 'balancer://feeds/' },
  ],
})
const empty = createTunnelProxy({ target: `ws://127.0.0.1:${one.port}` })
const broken = createTunnelProxy({
  balancers: { chat: { members: [1, 2, 3].map(port => ({ url: `ws://127.0.0.1:${port}` })), maxAttempts: 2 } },
  target: 'balancer://chat/',
})
const pages = {
  busy: managerPage(proxy, { unsafeOpen: true, path: '/busy', title: 'Chat gateway' }),
  nothing: managerPage(empty, { unsafeOpen: true, path: '/nothing', title: 'New gateway' }),
  broken: managerPage(broken, { unsafeOpen: true, path: '/broken', title: 'Broken gateway' }),
}
const server = createServer((req, res) =>
  pages.busy(req, res, () => pages.nothing(req, res, () => pages.broken(req, res, () => res.end('not found')))),
)
listenForUpgrades(server, (req, res) => {
  const used = req.url?.startsWith('/broken-') ? broken : proxy
  used.handle(req, res).catch(() => res.writeHead(503).end())
})
const port = await listen(server)

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
const shoot = async (
  name: string,
  path: string,
  options: { width?: number; dark?: boolean; full?: boolean; before?: (page: Page) => Promise<unknown> } = {},
): Promise<void> => {
  const { width = 1280, dark = false, full = false, before } = options
  const page = await browser.newPage({
    viewport: { width, height: width < 500 ? 844 : 780 },
    colorScheme: dark ? 'dark' : 'light',
  })
  await page.goto(`http://127.0.0.1:${port}/${path}/`)
  await page.locator('#verdict').waitFor()
  await page.waitForTimeout(1_500)
  await before?.(page)
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: full })
  console.log(join(folder, `${name}.png`))
  await page.close()
}

for (let i = 0; i < 20; i++) await open(port, i % 3 === 0 ? `/feeds/prices/${i}` : `/chat/room/${i}?name=ann`)
await open(port, '/broken-/x')
const traffic = setInterval(() => {
  for (const socket of sockets) if (Math.random() < 0.3) socket.write(FRAME)
}, 100)
const visitors = setInterval(() => void open(port, '/chat/lobby'), 1_500)
await new Promise(resolve => setTimeout(resolve, WARM_UP / 2))
await shoot('all-good', 'busy')
for (const client of three.echo.clients) client.terminate()
three.server.close()
three.server.closeAllConnections()
proxy.balancers.get('feeds')?.members[1]?.change({ status: '+N' })
await new Promise(resolve => setTimeout(resolve, WARM_UP / 2))
clearInterval(visitors)
await shoot('dead-member', 'busy')
await shoot('dead-member-dark', 'busy', { dark: true, full: true })
await shoot('menu', 'busy', {
  before: page =>
    page
      .getByRole('button', { name: /^Actions for ws/ })
      .first()
      .click(),
})
await shoot('tunnels', 'busy', { before: page => page.locator('#tunnels').scrollIntoViewIfNeeded() })
await shoot('phone', 'busy', { width: 390 })
await shoot('phone-whole', 'busy', { width: 390, full: true })
await shoot('phone-tunnels', 'busy', {
  width: 390,
  before: page => page.locator('.filters').evaluate(node => node.scrollIntoView()),
})
await shoot('nothing', 'nothing', { full: true })
await shoot('broken', 'broken', { full: true, dark: true })
await shoot('gone', 'busy', {
  before: async page => {
    await pages.busy.close()
    await page.waitForTimeout(4_000)
  },
})
clearInterval(traffic)
for (const socket of sockets) socket.destroy()
await browser.close()
await Promise.all([
  ...Object.values(pages).map(page => page.close()),
  ...[proxy, empty, broken].map(each => each.close({ drainTimeout: 0 })),
])
for (const { server: backend } of backends) {
  backend.close()
  backend.closeAllConnections()
}
server.close()
server.closeAllConnections()
