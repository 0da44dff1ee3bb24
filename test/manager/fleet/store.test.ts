import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Entry, memoryStore, type StoreEvents } from '@ws-tunnel/manager'
import { Entries } from '../../../packages/manager/src/fleet/store.ts'

test('of two texts under one key the greater one stays', () => {
  const entries = new Entries()
  assert.deepEqual(
    entries.keep([
      ['a', '2'],
      ['b', '1'],
    ]),
    [
      ['a', '2'],
      ['b', '1'],
    ],
  )
  assert.deepEqual(
    entries.keep([
      ['a', '1'],
      ['b', '1'],
      ['c', ''],
    ]),
    [],
  )
  assert.deepEqual(entries.keep([['a', '3']]), [['a', '3']])
  assert.deepEqual(entries.all, [
    ['a', '3'],
    ['b', '1'],
  ])
})

test('the memory store reports saved entries to every other user, until that closes it', async () => {
  const store = memoryStore()
  const reported: [user: string, event: string, entries: readonly Entry[]][] = []
  const listen = (user: string): StoreEvents => ({
    all: entries => void reported.push([user, 'all', entries]),
    some: entries => void reported.push([user, 'some', entries]),
    away: error => assert.fail(error),
  })
  const one = store.open(listen('one'))
  const two = store.open(listen('two'))
  const closed = store.open(listen('closed'))
  await closed.close()
  await one.save([['a', '1']])
  assert.deepEqual(reported.splice(0), [
    ['one', 'all', []],
    ['two', 'all', []],
    ['two', 'some', [['a', '1']]],
  ])
  await two.close()
  await one.save([['a', '2']])
  store.open(listen('late'))
  await Promise.resolve()
  assert.deepEqual(reported, [['late', 'all', [['a', '2']]]])
})
