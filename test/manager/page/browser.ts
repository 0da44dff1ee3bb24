import { existsSync, mkdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach } from 'node:test'
import type { Access } from '@ws-tunnel/manager'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { type Cleanup, type ManagedServer, startManaged } from '../harness.ts'

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const hasChromium = (): boolean => existsSync(CHROMIUM)

/** The folder of the screenshots, which people look at. */
export const SCREENSHOTS = join(tmpdir(), 'ws-tunnel-manager')

/** Markup that changes the title of a page which does not show it as text. */
export const EVIL = '<script>document.title="hacked"</script><img src=x onerror=document.title="hacked">'

/** A tab of Chromium and the server that it visits, new for each test. */
export interface PageSession extends Cleanup {
  page: Page
  managed: ManagedServer
  /** The result of `authorize`. */
  access: Access
  /** Errors and warnings of the console, violations of the Content-Security-Policy and uncaught errors. */
  errors: string[]
  /** Requests to other servers. */
  foreign: string[]
}

/** Starts Chromium for the suite, and a session for each of its tests. */
export function usePage(): PageSession {
  let profile: string
  let browser: BrowserContext
  const undos: (() => unknown)[] = []
  const session = { after: undo => void undos.unshift(undo as () => unknown) } as PageSession

  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true })
    profile = await mkdtemp(join(tmpdir(), 'ws-tunnel-chromium-'))
    browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: ARGS, headless: true })
    browser.setDefaultTimeout(10_000)
  })
  after(async () => {
    await browser?.close()
    if (profile !== undefined) await rm(profile, { recursive: true, force: true })
  })

  beforeEach(async () => {
    const page = await browser.newPage()
    const managed = await startGateway(session)
    Object.assign(session, { page, managed, access: true, errors: [], foreign: [] })
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) session.errors.push(message.text())
    })
    page.on('pageerror', error => session.errors.push(String(error)))
    page.on('request', request => {
      if (!request.url().startsWith(session.managed.url)) session.foreign.push(request.url())
    })
  })
  afterEach(async () => {
    await session.page.close()
    for (const undo of undos.splice(0)) await undo()
  })
  return session
}

function startGateway(session: PageSession): Promise<ManagedServer> {
  const options = { interval: 200, recheck: 200, quietTime: 300, title: 'Chat <b>gateway</b>' }
  return startManaged(session, { ...options, authorize: () => session.access }, backend => ({
    balancers: {
      feeds: {
        stickySession: 'SID',
        timeout: 500,
        members: [
          { url: `ws://${backend}/one`, routeId: 'one' },
          { url: `ws://${backend}/two`, routeId: 'two', loadFactor: 2.5 },
          { url: `ws://127.0.0.1:1/${EVIL}`, status: 'H' },
        ],
      },
    },
    routes: [
      { path: '/off', target: false },
      { path: '/feed', target: 'balancer://feeds/' },
      { path: '/chat', target: `ws://${backend}/`, maxTunnels: 9 },
      { path: `/${EVIL}`, target: () => `ws://${backend}/` },
      { path: /^\/rooms\/(\d+)\/ws$/, target: `ws://${backend}/<img src=x onerror=alert(1)>/$1` },
    ],
  }))
}
