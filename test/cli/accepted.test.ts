import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../../packages/cli/dist/configuration/configuration.js'
import { diagnosticsText, isError } from '../../packages/cli/dist/configuration/diagnostics-text.js'
import { readConfiguration } from '../../packages/cli/dist/process/read-configuration.js'
import { Serving } from '../../packages/cli/dist/process/serving.js'
import { generate } from '../httpd/generate.ts'

test('run serves every generated configuration that check accepts', async () => {
  let accepted = 0
  for (const { id, conf } of generate(20_262, 250, 1)) {
    const text = `Listen 8080\n<VirtualHost *:8080>\nServerName h.test\n${conf}\n</VirtualHost>`
    const { diagnostics, serverDiagnostics } = load({ text })
    const errors = [...diagnostics, ...serverDiagnostics].filter(isError)
    const settings = {
      load: () => load({ text }),
      serverName: undefined,
      listens: [],
      drainTimeout: 0,
      drainSpread: 0,
      noticeTime: 0,
      workers: undefined,
      isJson: false,
      handover: undefined,
      pages: { manager: undefined, metrics: undefined, health: undefined },
    }
    const ready = readConfiguration(settings)
    if (errors.length > 0) {
      assert.ok('problem' in ready, id)
      assert.equal(ready.problem, diagnosticsText(errors), id)
      continue
    }
    accepted++
    assert.ok('configuration' in ready, `${id}: ${'problem' in ready ? ready.problem : ''}`)
    await assert.doesNotReject(async () => {
      const serving = new Serving(ready, settings)
      await serving.close(0)
      await serving.closeLogs()
    }, `${id}\n${conf}`)
  }
  assert.ok(accepted >= 200, `only ${accepted} are accepted`)
})
