import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cookieValue, sessionCookie, sessionOf } from '../../../packages/core/src/balancer/sticky-sessions.ts'
import type { BalancerOptions, StickySettings } from '../../../packages/core/src/options/balancer-options.ts'
import { resolveOptions } from '../../../packages/core/src/options/options.ts'
import { requestOf } from '../../support/request.ts'

function settingsOf(stickySession: BalancerOptions['stickySession']): StickySettings {
  const members = [{ url: 'http://a.test/', routeId: 'a' }]
  const { balancers } = resolveOptions({ target: false, balancers: { b: { members, stickySession } } })
  return balancers['b']?.stickySession as StickySettings
}

const SESSIONS: [
  what: string,
  sticky: BalancerOptions['stickySession'],
  url: string,
  cookie: string,
  route?: string,
][] = [
  ['the text after the separator of a cookie', 'sid', '/', 'sid=abc.a', 'a'],
  ['a cookie without a separator as no route', 'sid', '/', 'sid=abc'],
  ['a route that is empty as no route', 'sid', '/', 'sid=abc.'],
  ['a route with further separators as a whole', 'sid', '/', 'sid=abc.a.b', 'a.b'],
  ['the parameter of the query before the cookie', 'sid', '/x?sid=1.b', 'sid=abc.a', 'b'],
  ['the cookie where the parameter is missing', 'sid', '/x?other=1.b', 'sid=abc.a', 'a'],
  ['nothing of a request that names no session', 'sid', '/x', ''],
  ['the first parameter of the name, even at the end of another name', 'sid', '/x?mysid=1.a&sid=1.b', '', 'a'],
  ['the parameter after a path with its name', 'sid', '/sid/?sid=1.b', '', 'b'],
  ['different names of cookie and parameter', { cookie: 'c', path: 'p' }, '/x?p=1.b', 'c=1.a', 'b'],
  ['the whole value where there is no separator', { cookie: 'c', separator: false }, '/', 'c=1.a', '1.a'],
  ['another separator', { cookie: 'c', separator: '~' }, '/', 'c=1.0~a', 'a'],
]

for (const [what, sticky, url, cookie, route] of SESSIONS) {
  test(`reads ${what}`, () => {
    const req = requestOf(cookie === '' ? [] : [`Cookie: ${cookie}`])
    assert.equal(sessionOf(settingsOf(sticky), url, req).route, route)
  })
}

test('gives the name by which the session was found, of the parameter or of the cookie', () => {
  const sticky = settingsOf({ cookie: 'c', path: 'p' })
  assert.equal(sessionOf(sticky, '/?p=1.a', requestOf([])).name, 'p')
  assert.equal(sessionOf(sticky, '/', requestOf(['Cookie: c=1.a'])).name, 'c')
  assert.equal(sessionOf(sticky, '/', requestOf([])).name, undefined)
})

const COOKIES: [cookies: string, value: string | undefined][] = [
  ['sid=a', 'a'],
  ['x=1; sid=a; y=2', 'a'],
  ['x=1,sid=a,y=2', 'a'],
  ['mysid=b; sid=a', 'a'],
  ['sid2=b; sid=a', 'a'],
  ['sid = a', ' a'],
  ['x=1;\tsid\t=a', 'a'],
  ['x=1;\xa0sid=b', undefined],
  ['sid\xa0=b', undefined],
  ['sid=', undefined],
  ['sid', undefined],
  ['', undefined],
]

for (const [cookies, value] of COOKIES) {
  test(`finds ${JSON.stringify(value)} in ${JSON.stringify(cookies)}`, () => {
    assert.equal(cookieValue(cookies, 'sid'), value)
  })
}

test('sets no cookie unless the option set is on', () => {
  assert.equal(sessionCookie(settingsOf('sid'), 'a', true), undefined)
})

const SET_COOKIES: [set: true | object, encrypted: boolean, cookie: string][] = [
  [true, false, 'sid=.a; Path=/; HttpOnly; SameSite=Lax'],
  [true, true, 'sid=.a; Path=/; Secure; HttpOnly; SameSite=Lax'],
  [{ secure: false }, true, 'sid=.a; Path=/; HttpOnly; SameSite=Lax'],
  [
    { path: '/ws', domain: 'h.test', maxAge: 60, httpOnly: false, sameSite: 'strict' },
    false,
    'sid=.a; Path=/ws; Domain=h.test; Max-Age=60; SameSite=Strict',
  ],
]

for (const [set, encrypted, cookie] of SET_COOKIES) {
  test(`sets ${cookie} over ${encrypted ? 'HTTPS' : 'HTTP'} for set: ${JSON.stringify(set)}`, () => {
    assert.equal(sessionCookie(settingsOf({ cookie: 'sid', set } as never), 'a', encrypted), cookie)
  })
}
