import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { after, before, suite, test } from 'node:test'
import { type Browser, chromium } from 'playwright-core'
import { WebSocketServer } from 'ws'
import type { Middleware } from '../support/frameworks.ts'
import { peer } from '../support/peers.ts'
import { GATEWAYS } from './gateways.ts'

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']

/** What the page runs: a fetch, then two WebSockets at a time, one of which the guard refuses later. */
const SCRIPT = `(async () => {
  const talk = path => new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://' + location.host + path)
    socket.onopen = () => socket.send('hello')
    socket.onmessage = ({ data }) => { socket.close(1000); resolve(data) }
    socket.onerror = () => reject(new Error(path))
  })
  const page = await (await fetch('/own')).text()
  const talks = await Promise.all([talk('/live/one'), talk('/live/two')])
  const refused = await talk('/live/secret').catch(error => 'refused ' + error.message)
  const [entry] = performance.getEntriesByType('navigation')
  return { page, talks, refused, protocol: entry.nextHopProtocol }
})()`

suite('Chromium over HTTP/2', { ...peer('Chromium', () => existsSync(CHROMIUM)), timeout: 60_000 }, () => {
  let browser: Browser
  let backend: WebSocketServer

  before(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS, headless: true })
    backend = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await once(backend, 'listening')
    backend.on('connection', (socket, req) => socket.on('message', data => socket.send(`${req.url} ${data}`)))
  })
  after(async () => {
    await browser.close()
    backend.close()
  })

  for (const [name, start] of GATEWAYS) {
    test(`a page, a fetch and two WebSockets share one connection to ${name}`, async t => {
      const guard: Middleware = (req, res, next) => {
        if (req.url?.startsWith('/live/secret')) res.writeHead(401).end('no')
        else if (req.url === '/')
          res.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>page</title>')
        else next()
      }
      const { port } = backend.address() as { port: number }
      const gateway = await start(t, { target: `ws://127.0.0.1:${port}/` }, { before: [guard] })
      const protocols: string[] = []
      gateway.server.on('secureConnection', (socket: { alpnProtocol: string }) => protocols.push(socket.alpnProtocol))
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      try {
        const page = await context.newPage()
        await page.goto(`https://localhost:${gateway.port}/`)
        assert.deepEqual(await page.evaluate(SCRIPT), {
          page: 'own',
          talks: ['/one hello', '/two hello'],
          refused: 'refused /live/secret',
          protocol: 'h2',
        })
      } finally {
        await context.close()
      }
      assert.deepEqual(protocols, ['h2'])
    })
  }
})
