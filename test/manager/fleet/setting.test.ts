import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { MemberChange } from '@ws-tunnel/manager'
import {
  checkLength,
  outcomeOf,
  readSetting,
  type Setting,
  settingsOf,
  timeOf,
  writeSetting,
} from '../../../packages/manager/src/fleet/setting.ts'

const key = { proxy: 'main', balancer: 'chat', url: 'ws://a.test' }
const setting = (name: string, value: unknown): Setting => ({ ...key, name, value })
const change = (settings: object): MemberChange => ({
  action: 'set-member',
  proxy: 'main',
  balancer: 'chat',
  member: key.url,
  settings,
})

suite('an entry of a store', () => {
  test('reads back as the setting it was written from', () => {
    const settings = [
      setting('member', false),
      setting('member', { loadFactor: 2, status: '+H' }),
      setting('N', true),
      setting('loadFactor', 2.5),
      setting('routeId', ''),
      setting('redirect', 'b'),
    ]
    for (const one of settings) {
      const entry = writeSetting(one, Date.now(), '0123abcd')
      assert.deepEqual(readSetting(entry), one)
    }
  })

  test('sorts by time as text, then by writer', () => {
    const textAt = (time: number, writer: string): string => writeSetting(setting('N', true), time, writer)[1]
    const texts = [textAt(9, 'ffffffff'), textAt(10, '00000000'), textAt(10, '00000001'), textAt(1e12, '00000000')]
    assert.deepEqual(texts.toSorted(), texts)
    assert.deepEqual(texts.map(timeOf), [9, 10, 10, 1e12])
  })

  test('has no time if that is missing, or more than an hour in the future', () => {
    const hour = 3_600_000
    const at = (time: number): string => writeSetting(setting('N', true), time, '00000000')[1]
    assert.equal(timeOf('true'), undefined)
    assert.equal(timeOf(at(Date.now() + hour + 60_000)), undefined)
    assert.ok(timeOf(at(Date.now() + hour - 60_000)))
  })

  test('is at most 4096 bytes long, in UTF-8', () => {
    checkLength(['x'.repeat(4_096), ''])
    assert.throws(() => checkLength(['x'.repeat(4_097), '']), /4096 bytes/)
    assert.throws(() => checkLength(['', 'é'.repeat(2_049)]), /4096 bytes/)
  })
})

test('a change is one setting for each letter and each other value', () => {
  const cases: [change: MemberChange, settings: Setting[]][] = [
    [change({}), []],
    [change({ lbSet: 2, routeId: undefined }), [setting('lbSet', 2)]],
    [change({ status: '+N-dh+n' }), [setting('N', true), setting('D', false), setting('H', false)]],
    [change({ status: 'E' }), []],
    [{ action: 'remove-member', proxy: 'main', balancer: 'chat', member: key.url }, [setting('member', false)]],
    [
      { action: 'add-member', proxy: 'main', balancer: 'chat', member: { url: key.url, lbSet: 1 } },
      [setting('member', { lbSet: 1 })],
    ],
  ]
  for (const [change, settings] of cases) assert.deepEqual(settingsOf(change, false), settings)
  const removal = { action: 'remove-member', proxy: 'main', balancer: 'chat', member: key.url } as const
  assert.deepEqual(settingsOf(removal, true), [setting('member', null)])
})

suite('the settings of a member', () => {
  const defaults = { loadFactor: 1, lbSet: 0, retry: 60_000, routeId: '', redirect: '' }
  const cleared = '-I-D-S-H-R-N'

  test('change what operators set, and nothing else', () => {
    const settings = [setting('N', true), setting('lbSet', 3), setting('N', false), setting('H', true)]
    assert.deepEqual(outcomeOf(settings), { removed: false, added: undefined, changes: { status: '+N-N+H', lbSet: 3 } })
  })

  test('start from the defaults when an operator adds the member', () => {
    const added = { loadFactor: 5, status: 'H' }
    assert.deepEqual(outcomeOf([setting('lbSet', 3), setting('member', added), setting('D', true)]), {
      removed: false,
      added,
      changes: { ...defaults, loadFactor: 5, status: `${cleared}+H+D` },
    })
  })

  test('remove the member if that is the last change of it', () => {
    const { removed, added } = outcomeOf([setting('member', {}), setting('member', false), setting('lbSet', 3)])
    assert.deepEqual([removed, added], [true, undefined])
    assert.equal(outcomeOf([setting('member', false), setting('member', {})]).removed, false)
  })
})
