import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemberView, ProxyView } from '@ws-tunnel/manager'
import { RateHistory } from '../../../packages/manager/src/api/rate-history.ts'

/** A proxy with these counts, whose members have passed these bytes from clients. */
function proxy(counts: Partial<ProxyView>, members: number[] = []): ProxyView {
  const views = members.map((bytesFromClient, i) => ({ id: i + 1, bytesFromClient, bytesFromBackend: 0 }) as MemberView)
  const none = { open: 0, opened: 0, errors: {}, failovers: 0, bytesFromClient: 0, bytesFromBackend: 0 }
  return { ...none, ...counts, balancers: [{ members: views }] } as unknown as ProxyView
}

/** The clock of the test, in ms. */
function fakeClock(t: { mock: { method: (object: object, name: string, value: () => number) => void } }) {
  let time = 0
  t.mock.method(performance, 'now', () => time)
  return (ms: number): void => {
    time += ms
  }
}

test('a sample has the rates per second since the sample before, of all proxies together', t => {
  const wait = fakeClock(t as never)
  const history = new RateHistory(10)
  assert.equal(history.sample([proxy({ opened: 5 }), proxy({ bytesFromClient: 100 })]), undefined)
  wait(2_000)
  const sample = history.sample(
    [
      proxy({ open: 3, opened: 8, bytesFromBackend: 50, errors: { WST_ERR_DNS: 1 } }, [4_000]),
      proxy({ open: 1, bytesFromClient: 1_100, failovers: 2 }),
    ],
    [9.46, 1, 2],
  )
  const { time, ...rates } = sample ?? ({} as never)
  assert.ok(Math.abs(Date.now() - time) < 60_000)
  assert.deepEqual(rates, {
    open: 4,
    opened: 1.5,
    failed: 0.5,
    failovers: 1,
    p50: 2,
    p99: 9.5,
    fromClient: 500,
    fromBackend: 25,
    members: { 1: 0 },
  })
  wait(500)
  assert.deepEqual(history.sample([proxy({}, [4_100])])?.members, { 1: 200 })
})

test('a rate is not negative after a proxy was removed from the list', t => {
  const wait = fakeClock(t as never)
  const history = new RateHistory(10)
  history.sample([proxy({ opened: 5, bytesFromClient: 10 }), proxy({ opened: 9 })])
  wait(1_000)
  const { opened, fromClient } = history.sample([proxy({ opened: 5, bytesFromClient: 20 })]) ?? ({} as never)
  assert.deepEqual([opened, fromClient], [0, 10])
})

test('the history keeps the newest samples, and rates of at most 200 members', t => {
  const wait = fakeClock(t as never)
  const history = new RateHistory(2)
  for (let opened = 0; opened < 5; opened++) {
    history.sample([proxy({ opened: opened ** 2 }, Array(300).fill(0))])
    wait(1_000)
  }
  assert.deepEqual(
    history.samples.slice(-2).map(({ opened, members }) => [opened, Object.keys(members).length]),
    [
      [5, 200],
      [7, 200],
    ],
  )
})

test('a day of samples is kept in bounded memory, in less detail the older they are', t => {
  const wait = fakeClock(t as never)
  let date = 1_000_000_000_000
  t.mock.method(Date, 'now', () => date)
  const history = new RateHistory(300)
  const day = 24 * 3_600
  for (let second = 0; second < 2 * day; second += 2) {
    history.sample(
      [proxy({ open: second < 2 * day - 3_600 ? 2 : 4 }, [1])],
      second % 60 === 0 ? [second / 60, 5_000] : [],
    )
    wait(2_000)
    date += 2_000
  }
  const { samples } = history
  assert.ok(samples.length <= 300 + 360 + 720, String(samples.length))
  const times = samples.map(({ time }) => time)
  assert.deepEqual(times, times.toSorted(), 'the samples are in order')
  assert.ok(date - Number(times[0]) > 0.99 * day * 1_000)
  assert.deepEqual([samples[0]?.open, samples.at(-500)?.open, samples.at(-1)?.open], [2, 4, 4])
  assert.deepEqual([samples[0]?.p99, samples[0]?.members, samples.at(-1)?.members], [5_000, {}, { 1: 0 }])
})

test('counts that another process has brought are no rate, and its samples come before those of this one', t => {
  const wait = fakeClock(t as never)
  const old = new RateHistory(10)
  const history = new RateHistory(10)
  for (const opened of [0, 5]) {
    old.sample([proxy({ opened }, [1])])
    history.sample([proxy({})])
    wait(1_000)
  }
  history.restore(JSON.parse(JSON.stringify(old.save())))
  assert.equal(history.sample([proxy({ opened: 5 })]), undefined)
  history.skip()
  wait(1_000)
  assert.equal(history.sample([proxy({ opened: 5, bytesFromClient: 9_000 })]), undefined)
  wait(1_000)
  history.sample([proxy({ opened: 6, bytesFromClient: 9_000 })])
  const rates = history.samples.map(({ opened, fromClient, members }) => [opened, fromClient, members])
  assert.deepEqual(rates, [
    [5, 0, {}],
    [1, 0, {}],
  ])
})
