import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Succession } from '../support/handover/processes.ts'
import { Streams } from '../support/handover/streams.ts'
import { native } from '../support/pump.ts'

for (const async of [true, false]) {
  const engine = async ? 'offloaded' : 'in JavaScript'
  test(
    `no byte of 60 tunnels that were opened ${engine} is lost in four hand-overs, and no connect fails`,
    native,
    async t => {
      const seed = Date.now() % 1_000_000
      t.diagnostic(`seed ${seed}`)
      const streams = new Streams(seed)
      t.after(() => streams.close())
      const options = { target: `ws://127.0.0.1:${await streams.listen()}/`, async }
      const gateways = await Succession.create(t, { framework: 'node:http', options })
      let current = await gateways.next()
      const running = streams.keep(60, await current.port(), 1_500)
      let moved = 0
      for (let i = 0; i < 4; i++) {
        const next = await gateways.next()
        moved += (await current.report('handed over')).report.moved
        assert.equal(await current.exited, 0, current.errors)
        current = next
      }
      streams.stop()
      await running
      const { opened, finished, faults } = streams.tally
      assert.deepEqual(faults, [])
      assert.equal(finished, opened)
      assert.ok(moved >= 60 && opened >= 120, `${moved} moved, ${opened} opened`)
      assert.deepEqual((await current.view()).tunnels, [])
    },
  )
}
