import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authenticatesConnection, challengesConnection } from '../../../packages/core/src/backend/connection-auth.ts'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'

test('knows credentials that authenticate a connection', () => {
  for (const value of ['NTLM abc', 'negotiate abc', 'NEGOTIATE', ' NTLM\tabc'])
    assert.ok(authenticatesConnection(HeaderList.from(['Authorization', value])), value)
  for (const value of ['Basic NTLM', 'NTLMv2 abc', 'Bearer x', ''])
    assert.ok(!authenticatesConnection(HeaderList.from(['Authorization', value])), value)
  assert.ok(!authenticatesConnection(new HeaderList()))
})

test('knows a challenge that begins to authenticate a connection, alone or in a list', () => {
  const challenges = (...lines: string[]): boolean =>
    challengesConnection({ rawHeaders: lines.flatMap(line => ['WWW-Authenticate', line]) })
  for (const lines of [['NTLM'], ['Negotiate abc'], ['Basic realm="x", NTLM'], ['Basic realm="x"', 'ntlm']])
    assert.ok(challenges(...lines), lines.join())
  for (const lines of [['Basic realm="NTLM"'], ['NTLMv2'], []]) assert.ok(!challenges(...lines), lines.join())
})
