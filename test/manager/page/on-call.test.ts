import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'
import type { AxeResults } from 'axe-core'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'
import { openTunnel } from '../../support/client.ts'
import { closedPort, eventually } from '../../support/gate.ts'
import { peer } from '../../support/peers.ts'
import { startManaged } from '../harness.ts'
import { hasChromium, usePage } from './browser.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

suite('the page for the one who is on call, in Chromium', peer('Chromium', hasChromium), () => {
  const session = usePage()

  const openPage = async (): Promise<void> => {
    await session.page.goto(session.managed.url)
    await session.page.locator('#verdict').waitFor()
  }
  const members = () => session.managed.proxy.balancers.get('feeds')?.members as readonly BalancerMember[]
  const verdict = (text: string) => session.page.locator('#verdict h2', { hasText: text }).waitFor()
  const icon = () => session.page.locator('link[rel="icon"]').getAttribute('href')

  test('says in text, title and icon how many members are usable, what is wrong and since when', async () => {
    await openPage()
    await verdict('All 3 members usable')
    assert.equal(await icon(), 'icon-good.svg')
    members()[1]?.change({ status: '+N' })
    await verdict('2 of 3 members usable')
    assert.equal(await session.page.locator('#verdict').getAttribute('data-grade'), 'warn')
    members()[0]?.fail()
    await verdict('1 of 3 members usable')
    const [first, second] = await session.page.locator('#verdict li').allTextContents()
    assert.match(first ?? '', /\/one in feeds: in error since \d.* \(\d+s\)$/)
    assert.match(second ?? '', /\/two in feeds: draining since /)
    assert.match(await session.page.title(), /^1 of 3 members usable · /)
    assert.equal(await icon(), 'icon-bad.svg')
    assert.equal(await session.page.locator('#balancers tr.dead').count(), 1)
    assert.deepEqual(session.errors, [])
  })

  test('charts have one cursor, which hover and arrow keys move, and ranges; their history survives a reload', async () => {
    await session.managed.tunnel('/chat/a')
    await openPage()
    await eventually(async () => (await session.managed.json<unknown[]>('api/history')).length > 8)
    await session.page.reload()
    const chart = (name: string) => session.page.getByRole('slider', { name: `${name}, time` })
    const samples = async () => Number(await chart('Open tunnels').getAttribute('aria-valuemax'))
    await eventually(async () => (await samples()) > 8)
    await session.page.getByText('1 min', { exact: true }).click()
    assert.ok(await session.page.getByRole('radio', { name: '1 min' }).isChecked())
    await chart('Open tunnels').focus()
    await session.page.keyboard.press('Home')
    const time = session.page.locator('#cursor-time')
    await time.getByText(/\d:\d\d/).waitFor()
    const spoken = await chart('Open tunnels').getAttribute('aria-valuetext')
    assert.match(spoken ?? '', /\d:\d\d.*: Open tunnels \d/)
    const other = await chart('Failed per second').getAttribute('aria-valuetext')
    assert.equal(other?.split(': ')[0], spoken?.split(': ')[0], 'the charts share the cursor')
    await session.page.keyboard.press('Escape')
    await time.getByText('Now').waitFor()
    const box = await chart('Handshake').locator('.u-over').boundingBox()
    await session.page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) - 3, (box?.y ?? 0) + 20)
    await time.getByText(/\d:\d\d/).waitFor()
    assert.deepEqual(session.errors, [])
  })

  test('lists the last failures and failovers, with a link to the member', async () => {
    const dead = `ws://127.0.0.1:${await closedPort()}`
    session.managed = await startManaged(session, { unsafeOpen: true, interval: 200 }, backend => ({
      balancers: { feeds: { members: [{ url: dead, loadFactor: 9 }, { url: `ws://${backend}` }] } },
      routes: [
        { path: '/feed', target: 'balancer://feeds/' },
        { path: '/gone', target: dead },
      ],
    }))
    await openPage()
    await session.page.getByText('No request has failed').waitFor()
    await session.managed.tunnel('/feed?token=secret')
    await assert.rejects(openTunnel(session.managed.port, '/gone'))
    const rows = session.page.locator('#failure-list tr')
    await rows.nth(1).waitFor()
    assert.match((await rows.nth(0).textContent()) ?? '', /CONNECT127\.0\.0\.1\/gone1127\.0\.0\.1:\d+The backend/)
    const failover = (await rows.nth(1).textContent()) ?? ''
    assert.match(failover, /CONNECT127\.0\.0\.1\/feed\?…0ws:.*failed over/)
    assert.doesNotMatch(failover, /secret/)
    await rows.nth(1).getByRole('link').click()
    await session.page.locator('tr:target', { hasText: dead }).waitFor()
    assert.deepEqual(session.errors, [])
  })

  test('sorts and filters tunnels by client, member, route and state', async () => {
    for (const path of ['/chat/b', '/feed/a', '/chat/c']) await session.managed.tunnel(path)
    await openPage()
    const paths = () => session.page.locator('#tunnel-list td[data-label="Path"]').allTextContents()
    const shows = (expected: string[]) =>
      eventually(async () => JSON.stringify(await paths()) === JSON.stringify(expected))
    await shows(['/chat/c', '/feed/a', '/chat/b'])
    const sortByPath = session.page.locator('#tunnels').getByRole('button', { name: 'Path' })
    await sortByPath.click()
    await shows(['/chat/b', '/chat/c', '/feed/a'])
    await sortByPath.click()
    await shows(['/feed/a', '/chat/c', '/chat/b'])
    assert.equal(await session.page.locator('th[aria-sort="descending"]').textContent(), 'Path ▼')
    const filters = session.page.locator('.filters')
    await filters.getByLabel('Route').selectOption('main 1')
    await shows(['/feed/a'])
    await session.page.locator('#count', { hasText: '1 of 3' }).waitFor()
    await filters.getByLabel('Route').selectOption('')
    await filters.getByLabel('State').selectOption('draining')
    await session.page.getByText('No open tunnel matches the search.').waitFor()
    await filters.getByLabel('State').selectOption('')
    await filters.getByLabel('Client').fill('10.9.')
    await session.page.getByText('No open tunnel matches the search.').waitFor()
    await filters.getByLabel('Client').fill('127.')
    await shows(['/feed/a', '/chat/c', '/chat/b'])
    await filters.getByLabel('Member').selectOption({ index: 2 })
    await shows(['/feed/a'])
    assert.deepEqual(session.errors, [])
  })

  test('has elements only for the rows in view, and two lines for each tunnel on a phone', async () => {
    session.managed = await startManaged(session, { unsafeOpen: true, interval: 500 })
    for (let i = 0; i < 400; i++) await session.managed.tunnel(`/t${i}`)
    await openPage()
    await session.page.locator('#count', { hasText: '400' }).waitFor()
    const rows = session.page.locator('#tunnel-list tr')
    await rows.first().waitFor()
    assert.ok((await rows.count()) <= 120)
    const list = session.page.getByRole('region', { name: 'List of tunnels' })
    await list.evaluate(node => node.scrollTo(0, node.scrollHeight))
    await session.page.locator('#tunnel-list', { hasText: '/t0' }).getByText('/t0', { exact: true }).waitFor()
    assert.ok((await rows.count()) <= 120)
    await session.page.setViewportSize({ width: 390, height: 844 })
    assert.equal(await session.page.evaluate(() => document.documentElement.scrollWidth), 390)
    const tops = await rows.first().evaluate(row => {
      const shown = Array.from(row.children).filter(cell => cell.getClientRects().length > 0)
      return shown.slice(0, -1).map(cell => Math.round(cell.getBoundingClientRect().top / 12))
    })
    assert.equal(new Set(tops).size, 2, String(tops))
    assert.deepEqual(session.errors, [])
  })

  test('greys out, counts up and lets its buttons rest while the server is gone', async () => {
    await openPage()
    await session.page.locator('#live', { hasText: 'Live' }).waitFor()
    await session.managed.closeManager()
    session.managed.server.close()
    session.managed.server.closeAllConnections()
    await session.page.locator('#live', { hasText: /^N.*for \ds\. You see / }).waitFor()
    const seconds = async () =>
      Number(/for (\d+)s/.exec((await session.page.locator('#live').textContent()) ?? '')?.[1])
    const before = await seconds()
    await eventually(async () => (await seconds()) > before)
    assert.ok(await session.page.locator('main').evaluate(main => (main as HTMLElement).inert))
    assert.equal(
      await session.page.evaluate(() => getComputedStyle(document.querySelector('main') as Element).filter),
      'grayscale(1)',
    )
    assert.match(await session.page.title(), /^No contact · /)
  })

  for (const colorScheme of ['light', 'dark'] as const)
    test(`axe finds no violation, ${colorScheme}: the page, a menu, a form with an objection, a phone`, async () => {
      await session.page.emulateMedia({ colorScheme })
      await session.managed.tunnel('/chat/a')
      await assert.rejects(openTunnel(session.managed.port, '/nowhere'))
      members()[0]?.fail()
      members()[1]?.change({ status: '+N' })
      await openPage()
      await session.page.locator('#tunnel-list tr').first().waitFor()
      await session.page.evaluate(AXE)
      const check = async (what: string): Promise<void> => {
        const results = (await session.page.evaluate('axe.run()')) as AxeResults
        assert.deepEqual(
          results.violations.map(({ id, nodes }) => [
            id,
            nodes.map(({ html, failureSummary }) => [html, failureSummary]),
          ]),
          [],
          what,
        )
      }
      await check('the page')
      await session.page
        .locator('#balancers')
        .getByRole('button', { name: /^Actions/ })
        .first()
        .click()
      await check('a menu')
      await session.page.keyboard.press('Escape')
      await session.page.getByRole('button', { name: 'Add member to feeds' }).click()
      await session.page.getByLabel('URL').fill('nonsense')
      await session.page.getByRole('button', { name: 'Save' }).click()
      await session.page.locator('#objection').waitFor()
      await check('a form')
      await session.page.keyboard.press('Escape')
      await session.page.setViewportSize({ width: 390, height: 844 })
      await check('a phone')
    })
})
