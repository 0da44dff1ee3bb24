import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { redisStore } from '@ws-tunnel/manager/redis'
import type { Locator } from 'playwright-core'
import type { BalancerMember } from '../../../packages/core/dist/balancer/balancer-member.js'
import type { RawClient } from '../../support/client.ts'
import { openTunnel } from '../../support/client.ts'
import { eventually } from '../../support/gate.ts'
import { peer } from '../../support/peers.ts'
import { hasRedis, Redis } from '../../support/redis.ts'
import { startManaged } from '../harness.ts'
import { EVIL, hasChromium, SCREENSHOTS, usePage } from './browser.ts'

suite('the page of the manager, in Chromium', peer('Chromium', hasChromium), () => {
  const session = usePage()

  const openPage = async (): Promise<void> => {
    await session.page.goto(session.managed.url)
    await session.page.locator('#live', { hasText: 'Live' }).waitFor()
  }
  const row = (id: number | undefined) => session.page.locator('#tunnel-list tr', { hasText: `#${id}` })
  const openSome = async (paths: string[]): Promise<RawClient[]> => {
    const clients = []
    for (const path of paths) {
      const client = await session.managed.tunnel(path)
      client.send('x'.repeat(1_500))
      await client.readExact(1_500)
      clients.push(client)
    }
    return clients
  }
  const ids = (): number[] => Array.from(session.managed.proxy.tunnels, ({ id }) => id)

  test('shows routes, tunnels and rates: light, dark and on a phone', async () => {
    await openPage()
    const clients = await openSome(['/chat/lobby', '/chat/room/7', '/feed/42', '/chat/lobby?token=secret'])
    await session.page.locator('#count', { hasText: '4' }).waitFor()
    const sending = setInterval(() => {
      for (const client of clients) client.send('x'.repeat(Math.random() * 20_000))
    }, 100)
    session.after(async () => clearInterval(sending))
    await session.page.waitForFunction(() => document.querySelectorAll('.uplot canvas').length === 9)
    await session.page
      .locator('figure', { hasText: 'Bytes from' })
      .locator('strong', { hasText: 'KB/s' })
      .first()
      .waitFor()
    const routes = await session.page.locator('#routes tr').allTextContents()
    assert.match(routes[0] ?? '', /^0\/offback to the app00/)
    assert.match(routes[2] ?? '', /^2\/chatws:.*\/33 of 9/)
    assert.match((await row(ids()[3]).textContent()) ?? '', /127\.0\.0\.1\/chat\/lobby\?…2127/)
    assert.match((await row(ids()[2]).textContent()) ?? '', /\/feed\/421ws:.*\/two/)

    const paper = new Set<string>()
    for (const colorScheme of ['light', 'dark'] as const) {
      await session.page.emulateMedia({ colorScheme })
      for (const width of [1280, 1201, 1200, 390]) {
        await session.page.setViewportSize({ width, height: 844 })
        assert.equal(await session.page.evaluate(() => document.documentElement.scrollWidth), width)
        const [widest, room] = await session.page.evaluate(() => [
          Math.max(...Array.from(document.querySelectorAll('table'), table => table.offsetWidth)),
          (document.querySelector('#charts') as HTMLElement).offsetWidth,
        ])
        assert.ok(Number(widest) <= Number(room), `a table is wider than the page at ${width}`)
        await session.page.screenshot({ path: join(SCREENSHOTS, `${colorScheme}-${width}.png`), fullPage: true })
      }
      paper.add(await session.page.evaluate(() => getComputedStyle(document.body).backgroundColor))
    }
    assert.equal(paper.size, 2)
    assert.deepEqual([session.errors, session.foreign], [[], []])
  })

  const member = (name: string) => session.page.locator('#balancers tr', { hasText: name })
  /** Opens the menu of a row and returns one of its items. */
  const action = async (of: Locator, name: string | RegExp): Promise<Locator> => {
    await of.getByRole('button', { name: /^Actions/ }).click()
    return session.page
      .locator('#menu')
      .getByRole('menuitem', { name })
      .or(session.page.locator('#menu').getByRole('menuitemcheckbox', { name }))
  }
  const paths = (): string[] => session.managed.backend.seen.map(({ path }) => path)

  test('drains and enables a member: meanwhile new tunnels go to another member, and its open ones continue', async () => {
    await openPage()
    const [client] = await openSome(['/feed/first'])
    assert.deepEqual(paths(), ['/two/first'])
    await (await action(member('(two)'), /^Drain/)).click()
    await member('(two)').getByText('draining', { exact: true }).first().waitFor()
    await openSome(['/feed/a', '/feed/b', '/feed/c'])
    assert.deepEqual(paths().slice(1), ['/one/a', '/one/b', '/one/c'])
    client?.send('still')
    assert.equal((await client?.readExact(5))?.toString(), 'still')
    const drain = await action(member('(two)'), /^Drain/)
    assert.equal(await drain.getAttribute('aria-checked'), 'true')
    await drain.click()
    await member('(two)').getByText('ready', { exact: true }).first().waitFor()
    await openSome(['/feed/d', '/feed/e', '/feed/f'])
    assert.ok(
      paths()
        .slice(4)
        .some(path => path.startsWith('/two/')),
      paths().join(),
    )
    assert.deepEqual(session.errors, [])
  })

  test('edits, adds and removes members, and shows what is wrong', async () => {
    await openPage()
    await session.page.getByText('byrequests · 3 attempts · waits 0.5 s · sessions by SID').waitFor()
    await (await action(member('(one)'), /^Edit/)).click()
    await session.page.getByLabel('Load factor').fill('3.5')
    await session.page.getByLabel('Set', { exact: true }).fill('1')
    await session.page.getByLabel('Retry (ms)').fill('500')
    await session.page.getByLabel('Redirect').fill('two')
    await session.page.getByLabel('standby (H)').check()
    await session.page.getByRole('button', { name: 'Save' }).click()
    await member('(one → two)').getByText('3.5 / 1').waitFor()
    await (await action(member('(one → two)'), /^Edit/)).click()
    await session.page.getByLabel('Redirect').fill('')
    await session.page.getByRole('button', { name: 'Save' }).click()
    assert.equal(session.managed.proxy.balancers.get('feeds')?.members[0]?.retry, 500)
    await member('(one)').getByText('standby', { exact: true }).first().waitFor()

    const add = async (url: string): Promise<void> => {
      await session.page.getByRole('button', { name: 'Add member to feeds' }).click()
      await session.page.getByLabel('URL').fill(url)
      await session.page.getByLabel('Route (sticky sessions)').fill('three')
      await session.page.getByRole('button', { name: 'Save' }).click()
    }
    await add('nonsense')
    const objection = session.page.locator('#member .objection')
    await objection.getByText(/url/).waitFor()
    assert.doesNotMatch((await objection.textContent()) ?? '', /WST_ERR/)
    const url = session.page.getByLabel('URL')
    assert.deepEqual(
      [await url.inputValue(), await url.getAttribute('aria-invalid'), await url.getAttribute('aria-describedby')],
      ['nonsense', 'true', 'objection'],
    )
    assert.equal(await session.page.getByLabel('Route (sticky sessions)').inputValue(), 'three')
    await url.fill('ws://127.0.0.1:2/three')
    await session.page.getByRole('button', { name: 'Save' }).click()
    await member('(three)').waitFor()

    await (await action(member('(three)'), /^Remove/)).click()
    await session.page.getByRole('button', { name: 'Remove it' }).click()
    await member('(three)').waitFor({ state: 'detached' })
    assert.equal(session.managed.proxy.balancers.get('feeds')?.members.length, 3)
    assert.deepEqual(
      session.errors.filter(text => !/400 \(Bad Request\)/.test(text)),
      [],
    )
  })

  test('shows the health checks of a member, and the result of the last one', async () => {
    await openPage()
    assert.equal(await session.page.locator('.checks:visible').count(), 0)
    const feeds = session.managed.proxy.balancers.get('feeds')
    const healthCheck = { method: 'TCP', interval: 60_000 } as const
    const url = `ws://${session.managed.backend.address}/good`
    const added = feeds?.add({ url, routeId: 'checked', healthCheck }) as BalancerMember
    const row = member('(checked)')
    await row.getByRole('img', { name: '1 of the last 1 health checks passed' }).waitFor()
    await row.getByText(/^connected, \d+s ago$/).waitFor()
    added.recordCheck({ ok: false, detail: EVIL, duration: 1 })
    await row.getByText('fails its health checks').first().waitFor()
    await row.getByRole('img', { name: '1 of the last 2 health checks passed' }).waitFor()
    await row.getByText(`${EVIL}, 0s ago`).waitFor()
    await session.page.screenshot({ path: join(SCREENSHOTS, 'checks.png'), fullPage: true })
    added.recordCheck({ ok: true, detail: 'good', duration: 1 })
    await row.getByText('ready', { exact: true }).first().waitFor()
    assert.deepEqual(session.errors, [])
  })

  test('closes a tunnel after a confirmation, and not without it', async () => {
    await openSome(['/chat/a', '/chat/b'])
    const [first, second] = ids()
    await openPage()
    await (await action(row(first), /^Close/)).click()
    await session.page.getByRole('button', { name: 'Cancel' }).click()
    await (await action(row(first), /^Close/)).click()
    assert.equal(session.managed.proxy.tunnels.size, 2)
    await session.page.getByRole('button', { name: 'Close it' }).click()
    await row(first).waitFor({ state: 'detached' })
    assert.deepEqual(ids(), [second])
    await session.page.getByText('1 ended (1 closed)').waitFor()
    assert.deepEqual(session.errors, [])
  })

  test('drains a tunnel: it stays open while bytes pass, and ends when it is quiet', async () => {
    const [client] = await openSome(['/chat/a'])
    const [id] = ids()
    await openPage()
    const sending = setInterval(() => client?.send('x'), 20)
    await (await action(row(id), /^Drain/)).click()
    await row(id).getByText('draining').waitFor()
    clearInterval(sending)
    await session.page.getByText('No tunnel is open.').waitFor()
    assert.deepEqual(session.errors, [])
  })

  test('searches, and closes the tunnels it found', async () => {
    await openSome(['/chat/a', '/chat/b', '/chat/bb'])
    const [kept] = ids()
    await openPage()
    await session.page.getByLabel('Search tunnels').fill('/CHAT/B')
    await session.page.locator('#count', { hasText: '2 of 3' }).waitFor()
    await session.page.getByRole('button', { name: 'Close found' }).click()
    await session.page.getByRole('button', { name: 'Close them' }).click()
    await session.page.getByText('No open tunnel matches the search.').waitFor()
    assert.deepEqual(ids(), [kept])
    assert.deepEqual(session.errors, [])
  })

  test('works with the keyboard alone, and shows the focus', async () => {
    await openSome(['/chat/a'])
    const [id] = ids()
    await openPage()
    const focused: string[] = []
    await session.page.keyboard.press('Tab')
    await session.page.keyboard.press('Enter')
    const labelOf = () =>
      session.page.evaluate(() => {
        const { activeElement: at } = document
        const outline = at === null ? '' : getComputedStyle(at).outlineStyle
        const text = at instanceof HTMLSelectElement ? '' : at?.textContent
        return `${at?.getAttribute('aria-label') ?? text ?? ''}|${at?.id}|${outline}`
      })
    for (let i = 0; i < 20 && !focused.at(-1)?.startsWith(`Actions for tunnel ${id}|`); i++) {
      await session.page.keyboard.press('Tab')
      focused.push(await labelOf())
    }
    assert.deepEqual(
      focused.map(text => text.split('|')[0]),
      [
        'Drain all',
        'Close all',
        'Search tunnels',
        '',
        '',
        '',
        '',
        'List of tunnels',
        'Client',
        'Path',
        'Route',
        'Member',
        'Age ▲',
        'Idle',
        'From client',
        'From backend',
        `Actions for tunnel ${id}`,
      ],
    )
    assert.deepEqual([...new Set(focused.map(text => text.split('|')[2]))], ['solid'])
    // The focus stays when the page changes.
    await openSome(['/chat/b'])
    await session.page.locator('#count', { hasText: '2' }).waitFor()
    assert.equal(await labelOf(), focused.at(-1))
    const confirmation = (state: 'visible' | 'hidden') => session.page.locator('#confirm').waitFor({ state })
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) await session.page.keyboard.press(key)
    }
    await press('Enter', 'Escape')
    assert.equal(await labelOf(), focused.at(-1))
    await press('ArrowDown', 'ArrowUp', 'Enter')
    await confirmation('visible')
    await press('Escape')
    await confirmation('hidden')
    assert.equal(await labelOf(), focused.at(-1))
    await press('Enter', 'End', 'Enter')
    await confirmation('visible')
    await press('Tab', 'Enter')
    await row(id).waitFor({ state: 'detached' })
    assert.deepEqual(session.errors, [])
  })

  test('shows markup in a title, a member, a route, a target, a path and a header as text', async () => {
    const { client } = await openTunnel(session.managed.port, `/chat/${EVIL.replaceAll(' ', '%20')}`, {
      headers: { 'User-Agent': EVIL, 'X-Forwarded-For': EVIL, Origin: EVIL },
    })
    await openPage()
    await session.page.locator('#routes', { hasText: EVIL }).waitFor()
    await session.page.locator('#tunnel-list', { hasText: '/chat/<script>' }).waitFor()
    await session.page.locator('#balancers', { hasText: EVIL }).waitFor()
    await (await action(member(EVIL), /^Remove/)).click()
    await session.page.locator('#confirm', { hasText: EVIL }).waitFor()
    await session.page.keyboard.press('Escape')
    await session.page.locator('h1', { hasText: 'Chat <b>gateway</b>' }).waitFor()
    assert.equal(await session.page.locator('body script, body img, body b').count(), 0)
    assert.equal(await session.page.title(), 'All 3 members usable · Chat <b>gateway</b> manager')
    client.destroy()
    assert.deepEqual([session.errors, session.foreign], [[], []])
  })

  test('shows the state of a shared store, and the wrong settings in it', peer('Redis', hasRedis), async () => {
    const redis = await Redis.start()
    session.after(() => redis.remove())
    const store = redisStore({ socket: { path: redis.path, tls: false } })
    const onProblem = (): void => {}
    session.managed = await startManaged(session, { unsafeOpen: true, interval: 200, store, onProblem }, backend => ({
      balancers: { feeds: { members: [{ url: `ws://${backend}` }, { url: `ws://${backend}/two` }] } },
      target: 'balancer://feeds/',
    }))
    await openPage()
    const line = session.page.locator('#fleet')
    await line.getByText(/^Settings are shared through redis, connected since /).waitFor()
    assert.equal(await session.page.locator('#ignored').isVisible(), false)
    const screenshots = async (name: string): Promise<void> => {
      for (const colorScheme of ['light', 'dark'] as const) {
        await session.page.emulateMedia({ colorScheme })
        for (const width of [1280, 390]) {
          await session.page.setViewportSize({ width, height: 844 })
          assert.equal(await session.page.evaluate(() => document.documentElement.scrollWidth), width)
          await session.page.screenshot({
            path: join(SCREENSHOTS, `${name}-${colorScheme}-${width}.png`),
            fullPage: true,
          })
        }
      }
    }
    await screenshots('fleet')
    await redis.client(client => client.hSet('ws-tunnel', { [EVIL]: EVIL, [`["main","feeds","${EVIL}","x"]`]: 'x' }))
    await (await action(member('/two'), /^Drain/)).click()
    await session.page.getByText('2 settings in the store are ignored').click()
    await session.page.locator('#ignored li', { hasText: EVIL }).first().waitFor()

    await redis.kill()
    await line
      .getByText(/^The shared store \(redis\) is away since .* \(\w+\)\. The last known settings stay in force$/)
      .waitFor()
    await (await action(member('/two'), /^Disable/)).click()
    await member('/two').getByText('disabled', { exact: true }).first().waitFor()
    await line.getByText(/; 1 setting will be sent when it is back$/).waitFor()
    await screenshots('fleet-away')
    await redis.run()
    await line.getByText(/^Settings are shared through redis/).waitFor()
    assert.equal(await session.page.locator('body script, body img').count(), 0)
    assert.deepEqual([session.errors, session.foreign], [[], []])
  })

  test('shows no buttons to a visitor who may only view', async () => {
    session.access = 'view'
    await openSome(['/chat/a'])
    await openPage()
    await row(ids()[0]).waitFor()
    await session.page.waitForFunction(() => document.body.classList.contains('view'))
    assert.equal(await session.page.getByRole('button', { name: /^(Actions|Add member|Drain|Close)/ }).count(), 0)
    assert.deepEqual(session.errors, [])
  })

  test('stops when authorize no longer allows the visitor, and goes on when it does again', async () => {
    await openPage()
    session.access = false
    await session.page.locator('#live', { hasText: 'the server refuses' }).waitFor()
    session.access = true
    await session.page.locator('#live', { hasText: /^Live$/ }).waitFor()
    session.errors = session.errors.filter(text => !/403 \(Forbidden\)/.test(text))
    assert.deepEqual(session.errors, [])
  })

  test('shows an unauthorised visitor nothing but the refusal', async () => {
    session.access = false
    const response = await session.page.goto(session.managed.url)
    assert.equal(response?.status(), 403)
    assert.equal(await session.page.locator('body').textContent(), 'Forbidden\n')
  })

  test('refuses pages of another site, even of the same machine', async () => {
    await openSome(['/chat/a'])
    const site = createServer((_req, res) => res.setHeader('Content-Type', 'text/html').end('<title>evil</title>'))
    await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
    session.after(async () => {
      site.closeAllConnections()
      await new Promise(resolve => site.close(resolve))
    })
    await session.page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`)
    const body = JSON.stringify({ proxy: 'main', ids: ids() })
    const outcomes = await session.page.evaluate(
      async ({ url, body }) => {
        const requests: [string, RequestInit][] = [
          ['api/state', {}],
          ['api/token', { credentials: 'include' }],
          ['api/close-tunnels', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }],
          ['api/close-tunnels', { method: 'POST', body, mode: 'no-cors' }],
        ]
        const results = requests.map(([path, init]) =>
          fetch(url + path, init).then(
            response => `${response.type} ${response.status}`,
            () => 'blocked',
          ),
        )
        const frame = document.createElement('iframe')
        frame.src = url
        document.body.append(frame)
        await new Promise(resolve => frame.addEventListener('load', resolve))
        return [...(await Promise.all(results)), frame.contentDocument === null ? 'no frame' : 'frame']
      },
      { url: session.managed.url, body },
    )
    assert.deepEqual(outcomes, ['blocked', 'blocked', 'blocked', 'blocked', 'no frame'])
    assert.ok(
      session.errors.some(text => /frame-ancestors|X-Frame-Options/.test(text)),
      session.errors.join('\n'),
    )
    assert.equal(session.managed.proxy.tunnels.size, 1)
    const refused = await eventually(() => session.managed.request('api/close-tunnels', { method: 'POST', body }))
    assert.equal(refused.status, 403)
  })
})
