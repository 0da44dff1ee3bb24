import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { peer } from '../support/peers.ts'
import { type Demo, startDemo } from './start-demo.ts'

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

suite(
  'the page of the demo, in Chromium',
  peer('Chromium', () => existsSync(CHROMIUM)),
  () => {
    let demo: Demo
    let profile: string
    let browser: BrowserContext
    let page: Page
    /** Errors and warnings of the browser's console, CSP violations, uncaught errors. */
    let problems: string[]

    before(async () => {
      demo = await startDemo()
      profile = await mkdtemp(join(tmpdir(), 'ws-tunnel-chromium-'))
      browser = await chromium.launchPersistentContext(profile, {
        executablePath: CHROMIUM,
        args: ARGS,
        headless: true,
      })
      browser.setDefaultTimeout(10_000)
    })
    after(async () => {
      await browser?.close()
      await demo?.stop()
      if (profile !== undefined) await rm(profile, { recursive: true, force: true })
    })

    beforeEach(async () => {
      problems = []
      await browser.clearCookies()
      page = await browser.newPage()
      page.on('console', message => {
        if (['error', 'warning'].includes(message.type())) problems.push(message.text())
      })
      page.on('pageerror', error => problems.push(String(error)))
      await page.goto(demo.origin)
    })
    afterEach(() => page.close())

    const line = (kind: string) => page.locator(`#log .${kind}`)
    const shown = async (locator: Locator): Promise<string> => (await locator.textContent()) ?? ''
    const choose = (route: string) => page.locator(`input[value=${route}]`).check({ force: true })
    const state = (text: string) => page.locator('#state', { hasText: text }).waitFor()
    async function send(text: string): Promise<void> {
      await page.getByLabel('Message').fill(text)
      await page.keyboard.press('Enter')
    }

    test('kills and starts a member of the balancer, and links to the manager', async () => {
      await page.getByRole('button', { name: 'Kill member cy' }).click()
      await line('closed').getByText('member cy').waitFor()
      await choose('balanced')
      for (let i = 0; i < 3; i++) {
        await page.getByRole('button', { name: 'Connect', exact: true }).click()
        await state('Tunnel open')
        await page.getByRole('button', { name: 'Disconnect' }).click()
        await state('Closed')
      }
      await page.getByRole('button', { name: 'Start member cy' }).click()
      await page.getByRole('button', { name: 'Kill member cy' }).waitFor()
      assert.equal(await page.getByRole('link', { name: 'Manage and drain' }).getAttribute('href'), '/manager/')
      assert.deepEqual(problems, [])
    })

    test('connects, sends, shows the echo with direction, time and size, and disconnects', async () => {
      await page.getByRole('button', { name: 'Connect' }).click()
      await state('Tunnel open')
      await send('grüezi')
      await line('received').waitFor()
      assert.match(await shown(line('sent')), /^\d\d:\d\d:\d\d\.\d{3}↑ sentgrüezi7 B$/)
      assert.match(await shown(line('received')), /^\d\d:\d\d:\d\d\.\d{3}↓ receivedgrüezi7 B$/)
      assert.equal(await shown(page.locator('#totals')), '1 sent, 7 B · 1 received, 7 B')
      await page.locator('#tunnels code', { hasText: '/ws/' }).waitFor()
      await page.getByRole('button', { name: 'Disconnect' }).click()
      await state('Closed')
      assert.match(await shown(line('closed')), /by you, code 100[05]$/)
      await page.locator('#none', { hasText: 'No tunnel is open' }).waitFor()
      assert.deepEqual(problems, [])
    })

    test('shows data from the network as text, never as markup', async () => {
      const text = '<img src=x onerror="document.title=1"><b>bold</b>'
      await choose('chat')
      await page.getByLabel('Path', { exact: true }).fill(`/chat/?name=${encodeURIComponent('<i>eve</i>')}`)
      await page.getByRole('button', { name: 'Connect' }).click()
      await line('received').filter({ hasText: '* <i>eve</i> joined (1 here)' }).waitFor()
      await send(text)
      await line('received')
        .filter({ hasText: `<i>eve</i>: ${text}` })
        .waitFor()
      await page.getByRole('button', { name: 'GET over HTTP' }).click()
      await line('http').filter({ hasText: '<i>eve</i>' }).waitFor()
      assert.equal(await page.locator('#log img, #log b, #log i').count(), 0)
      assert.deepEqual(problems, [])
    })

    test('shows the HTTP response of the path of a tunnel, with its header fields', async () => {
      await page.getByRole('button', { name: 'GET over HTTP' }).click()
      const response = line('http')
      await response.waitFor()
      assert.match(await shown(response), /200 OKGET \/ws\/, \d+ ms/)
      assert.match(await shown(response), /"backend": "echo"/)
      await response.locator('summary').click()
      assert.match(await shown(response), /content-type: application\/json/)
      await choose('api')
      await send('a body')
      await line('http').filter({ hasText: '"body": "a body"' }).waitFor()
      assert.deepEqual(problems, [])
    })

    test('shows the 401 of a refused upgrade, and connects after signing in', async () => {
      await choose('private')
      await page.getByRole('button', { name: 'Connect' }).click()
      await state('Not connected: /private/ returns 401 Unauthorized')
      const refused = await shown(line('refused'))
      assert.match(refused, /401 UnauthorizedGET \/private\//)
      assert.match(refused, /"error": "unauthorized"/)
      // The browser itself reports the two requests that failed, and nothing else.
      assert.equal(problems.length, 2)
      assert.match(problems[0] ?? '', /^WebSocket connection to 'ws:.*\/private\/' failed/)
      assert.match(problems[1] ?? '', /^Failed to load resource.*401/)

      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Signed in, with a cookie').waitFor()
      await page.getByRole('button', { name: 'Connect' }).click()
      await state('Tunnel open')
      await send('let in')
      await line('received').filter({ hasText: 'let in' }).waitFor()
      assert.equal(problems.length, 2)
    })

    test('can be used with only the keyboard', async () => {
      const press = async (...keys: string[]): Promise<void> => {
        for (const key of keys) await page.keyboard.press(key)
      }
      await press('Tab', 'ArrowDown')
      assert.equal(
        await page
          .getByLabel('Path', { exact: true })
          .inputValue()
          .then(path => path.split('?')[0]),
        '/chat/',
      )
      await press('ArrowUp', 'Tab', 'End')
      await page.keyboard.type('room')
      assert.equal(await shown(page.locator('#received')), '/echo/room')
      await press('Enter')
      await state('Tunnel open')
      await page.keyboard.type('typed')
      await press('Enter')
      await line('received').filter({ hasText: 'typed' }).waitFor()
      assert.deepEqual(problems, [])
    })

    test('fits the width of a phone, in light and in dark mode', async () => {
      await page.setViewportSize({ width: 390, height: 844 })
      const paper: string[] = []
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        paper.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor))
      }
      assert.notEqual(paper[0], paper[1])
      await page.getByRole('button', { name: 'Connect' }).click()
      await state('Tunnel open')
      await send('x'.repeat(500))
      await line('received').waitFor()
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390)
      assert.deepEqual(problems, [])
    })
  },
)
