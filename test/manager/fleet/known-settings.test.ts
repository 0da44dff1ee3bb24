import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Known, KnownSettings, memberKey } from '../../../packages/manager/src/fleet/known-settings.ts'
import { writeSetting } from '../../../packages/manager/src/fleet/setting.ts'

const at = { proxy: 'main', balancer: 'chat', url: 'ws://a.test' }
const member = memberKey(at)
const NOW = Date.now()

function known(name: string, value: unknown, time: number): Known {
  const setting = { ...at, name, value }
  const [key, text] = writeSetting(setting, time, 'ffffffff')
  return { key, text, setting }
}

const shown = (settings: KnownSettings): string[] =>
  settings.of(member).map(({ setting: { name, value } }) => `${name} ${JSON.stringify(value)}`)

test('an addition or a removal clears earlier settings, in whatever order they arrive', () => {
  const [early, base, late] = [known('D', true, NOW), known('member', {}, NOW + 1), known('H', true, NOW + 2)]
  for (const order of [
    [early, base, late],
    [late, base, early],
    [base, late, early],
  ]) {
    const settings = new KnownSettings()
    for (const each of order) settings.keep(each)
    assert.deepEqual(shown(settings), ['member {}', 'H true'])
    assert.deepEqual(settings.takeOutdated(), [[early.key, early.text]])
    assert.deepEqual(settings.takeOutdated(), [])
    assert.deepEqual([settings.additions, settings.wasAdded(member)], [1, true])
  }
})

test('the removal of an added member is forgotten after seven days, and that of a configured member is not', () => {
  const day = 24 * 3_600_000
  const cases: [value: unknown, age: number, forgotten: boolean][] = [
    [null, 8 * day, true],
    [null, 6 * day, false],
    [false, 800 * day, false],
    [{}, 800 * day, false],
  ]
  for (const [value, age, forgotten] of cases) {
    const settings = new KnownSettings()
    const removal = known('member', value, NOW - age)
    settings.keep(removal)
    assert.deepEqual(settings.takeOutdated(), forgotten ? [[removal.key, removal.text]] : [])
    assert.equal(settings.textOf(removal.key), forgotten ? '' : removal.text)
    assert.equal([...settings.members()].length, forgotten ? 0 : 1)
  }
})
