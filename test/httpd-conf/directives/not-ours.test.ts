import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { NOT_OURS } from '../../../packages/httpd-conf/src/directives/not-ours.ts'

test('ignores or refuses each directive that is not about proxying, with the reason in the table', () => {
  for (const [key, { kind, why }] of NOT_OURS) {
    const text = key.startsWith('<') ? `${key} x>\n${key.replace('<', '</')}>` : `${key} x`
    const [diagnostic] = compileHttpdConf({ text }).diagnostics
    assert.equal(diagnostic?.message, why, key)
    assert.equal(diagnostic?.severity, kind === 'ignored' ? 'ignored' : 'error', key)
  }
})
