import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { HeaderList } from '../../../packages/core/src/http/header-list.ts'
import { passReverse, type ReverseMapping } from '../../../packages/core/src/http/pass-reverse.ts'

const NOTHING: ReverseMapping = {
  locations: [],
  cookiePaths: [],
  cookieDomains: [],
  publicOrigin: 'http://front.example',
}

const one = (line: string, mapping: Partial<ReverseMapping>): string => {
  const colon = line.indexOf(': ')
  const list = HeaderList.from([line.slice(0, colon), line.slice(colon + 2)])
  const [[name, value] = ['', '']] = passReverse(list, { ...NOTHING, ...mapping })
  return `${name}: ${value}`
}

const LOCATIONS: ReverseMapping['locations'] = [
  ['http://h/b', '/a'],
  ['/c', '/d'],
  ['http://h/', 'https://pub.example/'],
]

const locations: [line: string, mapped: string][] = [
  ['Location: http://h/b/x', 'Location: http://front.example/a/x'],
  ['Location: http://h/b', 'Location: http://front.example/a'],
  ['Location: http://h/bx', 'Location: http://front.example/ax'],
  ['Location: HTTP://H/B/X', 'Location: http://front.example/a/X'],
  ['location: http://h/b/x?y#z', 'location: http://front.example/a/x?y#z'],
  ['Location: http://h/other', 'Location: https://pub.example/other'],
  ['Location: http://elsewhere/c/x', 'Location: http://front.example/d/x'],
  ['Location: /c', 'Location: http://front.example/d'],
  ['Location: http://h', 'Location: http://h'],
  ['Location: https://h/b', 'Location: https://h/b'],
  ['Location: //h/b', 'Location: //h/b'],
  ['Location: b/x', 'Location: b/x'],
  ['Location: ', 'Location: '],
  ['Content-Location: http://h/b/x', 'Content-Location: http://front.example/a/x'],
  ['URI: http://h/b/x', 'URI: http://front.example/a/x'],
  ['Destination: http://h/b/x', 'Destination: http://front.example/a/x'],
  ['Link: <http://h/b/x>', 'Link: <http://h/b/x>'],
  ['Refresh: 0; url=http://h/b/x', 'Refresh: 0; url=http://h/b/x'],
  ['X-Location: http://h/b/x', 'X-Location: http://h/b/x'],
]

test('maps the four URL fields, and no other, by the first prefix that matches', () => {
  for (const [line, mapped] of locations) assert.equal(one(line, { locations: LOCATIONS }), mapped)
})

test('uses the public origin for an empty public path', () => {
  assert.equal(one('Location: http://h/b/x', { locations: [['http://h/b', '']] }), 'Location: http://front.example/x')
  assert.equal(one('Location: http://h/b', { locations: [['http://h/b', '']] }), 'Location: http://front.example')
})

const cookies: [line: string, mapped: string][] = [
  ['n=v; Path=/b', 'n=v; Path=/a'],
  ['n=v; Path=/b/x', 'n=v; Path=/a'],
  ['n=v; path=/bx', 'n=v; path=/a'],
  ['n=v; Path=/B', 'n=v; Path=/B'],
  ['n=v; Path=/c', 'n=v; Path=/c'],
  ['n=v;Path=/b;HttpOnly', 'n=v;Path=/a;HttpOnly'],
  ['n=v;\t Path=/b', 'n=v;\t Path=/a'],
  ['n=v;\xa0Path=/b', 'n=v;\xa0Path=/b'],
  ['n=v; Path=/b; Path=/c', 'n=v; Path=/b; Path=/c'],
  ['n=v; Path=/c; Path=/b', 'n=v; Path=/c; Path=/a'],
  ['path=/b', 'path=/b'],
  ['path=/b; Secure', 'path=/b; Secure'],
  ['n=v; Path =/b', 'n=v; Path =/b'],
  ['n=v; Domain=backend.int', 'n=v; Domain=pub.test'],
  ['n=v; DOMAIN=BACKEND.INT; Path=/b', 'n=v; DOMAIN=pub.test; Path=/a'],
  ['n=v; Domain=.backend.int', 'n=v; Domain=.backend.int'],
  ['n=v; Domain=backend.int.evil', 'n=v; Domain=pub.test'],
  ['domain=backend.int; Domain=x', 'domain=backend.int; Domain=x'],
]

test('replaces the whole value of the last Path and Domain of a cookie, and never the cookie itself', () => {
  const mapping = { cookiePaths: [['/b', '/a']], cookieDomains: [['backend.int', 'pub.test']] } as const
  for (const [line, mapped] of cookies) assert.equal(one(`Set-Cookie: ${line}`, mapping), `Set-Cookie: ${mapped}`)
  assert.equal(one('Cookie: n=v; Path=/b', mapping), 'Cookie: n=v; Path=/b')
})

test('keeps every Set-Cookie line separate and in order', () => {
  const list = HeaderList.from(['Set-Cookie', 'a=1; Path=/b', 'Date', 'x', 'set-cookie', 'b=2; Path=/b'])
  assert.deepEqual(passReverse(list, { ...NOTHING, cookiePaths: [['/b', '/']] }).toRaw(), [
    'Set-Cookie',
    'a=1; Path=/',
    'Date',
    'x',
    'set-cookie',
    'b=2; Path=/',
  ])
})

interface Vector {
  id: string
  conf: string
  backendHeader: string
  clientHeader: string
}

/** The ProxyPassReverse directives of a configuration. There the public path precedes the backend URL. */
function mappingOf({ id, conf }: Vector): ReverseMapping {
  const lines = (directive: string): [string, string][] =>
    Array.from(conf.matchAll(new RegExp(`^${directive} "([^"]*)" "([^"]*)"$`, 'gm')), ([, a = '', b = '']) => [a, b])
  return {
    publicOrigin: `http://${id}.test`,
    locations: lines('ProxyPassReverse').map(([path, url]) => [url, path]),
    cookiePaths: lines('ProxyPassReverseCookiePath'),
    cookieDomains: lines('ProxyPassReverseCookieDomain'),
  }
}

const SKIPPED: Record<string, string> = { r8: 'the mapping of a balancer needs its members' }

const { reverse: vectors } = JSON.parse(
  readFileSync(new URL('../../httpd/vectors/headers-reverse.json', import.meta.url), 'utf8'),
) as { reverse: Vector[] }

test('maps as a real httpd does', () => {
  let compared = 0
  for (const vector of vectors) {
    if (vector.id in SKIPPED) continue
    assert.equal(one(vector.backendHeader, mappingOf(vector)), vector.clientHeader, `${vector.id}: ${vector.conf}`)
    compared++
  }
  assert.equal(compared, vectors.length - 2)
})
