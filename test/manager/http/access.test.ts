import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { test } from 'node:test'
import {
  ChangeToken,
  checkAccess,
  isFromOtherSite,
  isFromOurPage,
  visit,
} from '../../../packages/manager/src/http/access.ts'

const request = (headers: IncomingHttpHeaders): IncomingMessage => ({ headers }) as IncomingMessage

test('authorize or unsafeOpen is required, and not both', () => {
  const authorize = () => true
  assert.equal(checkAccess({ authorize }), authorize)
  assert.equal(checkAccess({ unsafeOpen: true })(request({})), true)
  for (const options of [
    {},
    { unsafeOpen: false },
    { authorize, unsafeOpen: true },
    { authorize: 'yes' },
    { unsafeOpen: 1 },
  ])
    assert.throws(() => checkAccess(options as never), { name: 'TypeError', message: /`(?:authorize|unsafeOpen)`/ })
})

test('only the documented results of authorize allow a visit', async () => {
  const visitOf = (access: unknown) => visit(async () => access as boolean, request({}))
  assert.deepEqual(await visitOf(true), { allowed: true, mayChange: true })
  assert.deepEqual(await visitOf('view'), { allowed: true, mayChange: false })
  const headers = { 'WWW-Authenticate': 'Basic' }
  assert.deepEqual(await visitOf({ challenge: 'Basic' }), { allowed: false, statusCode: 401, headers })
  for (const access of [false, undefined, null, 1, 'yes', 'change', [], {}, { challenge: true }])
    assert.deepEqual(await visitOf(access), { allowed: false, statusCode: 403, headers: {} }, JSON.stringify(access))
})

test('a request is from our page by Sec-Fetch-Site, or by the host of Origin', () => {
  const host = 'Gateway.example:8080'
  const cases: [headers: IncomingHttpHeaders, fromOurPage: boolean, fromOtherSite: boolean][] = [
    [{ host }, false, false],
    [{ host, 'sec-fetch-site': 'same-origin' }, true, false],
    [{ host, 'sec-fetch-site': 'none' }, false, false],
    [{ host, 'sec-fetch-site': 'same-site' }, false, true],
    [{ host, 'sec-fetch-site': 'cross-site', origin: 'http://gateway.example:8080' }, false, true],
    [{ host, origin: 'http://gateway.example:8080' }, true, false],
    [{ ':authority': host, origin: 'https://gateway.example:8080' }, true, false],
    [{ host, origin: 'http://gateway.example' }, false, false],
    [{ host, origin: 'null' }, false, false],
    [{ host: 'inner', origin: 'https://admin.example' }, true, false],
  ]
  for (const [headers, fromOurPage, fromOtherSite] of cases) {
    const req = request(headers)
    assert.equal(isFromOurPage(req, ['https://admin.example']), fromOurPage, JSON.stringify(headers))
    assert.equal(isFromOtherSite(req), fromOtherSite, JSON.stringify(headers))
  }
})

test('a token equals only the token of the same secret', () => {
  const token = new ChangeToken('a secret of some length')
  assert.ok(token.equals(new ChangeToken('a secret of some length').token))
  for (const wrong of [new ChangeToken('another secret').token, '', undefined, ['x'], `${token.token}x`])
    assert.ok(!token.equals(wrong), String(wrong))
})
