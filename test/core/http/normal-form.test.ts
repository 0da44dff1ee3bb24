import assert from 'node:assert/strict'
import { test } from 'node:test'
import { misspelling, ownOriginForm } from '../../../packages/core/src/http/normal-form.ts'

const NORMAL = [
  ...['/', '*', '', '?x', '/x', '/x/', '/x/y.z/', '/?q', '/x?a=//b/../%41', '/.well-known/x', '/.x/..y/...', '/x.'],
  ...['/caf%C3%A9', '/caf%c3%a9', '/a%20b', '/~user', '/a%2Bb', '/a+b', '/%40x', '/@x', '/100%25', '/%252e%252e'],
  ...['/x;y=1', '/x;y/z;a=1', '/;jsessionid=1', '/x/;a', '/x%2Fy', '/x%2F%2Fy', '/x%5Cy', '/x%2F.y', '/%zz', '/%'],
  ...["/o'brien?q", '/[x]', '/a|b', '/"x"', '/x?"<>^`{|}', '/x?caf\xc3\xa9', '/x?q=\xa0'],
]

test('finds nothing wrong with a normal form', () => {
  for (const target of NORMAL) assert.equal(misspelling(target, true), undefined, target)
})

const OTHER: [target: string, normal: string | undefined][] = [
  ['//x', '/x'],
  ['///', '/'],
  ['/x//y', '/x/y'],
  ['/x//', '/x/'],
  ['/./x', '/x'],
  ['/x/.', '/x/'],
  ['/x/..', '/'],
  ['/..', '/'],
  ['/../x', '/x'],
  ['/x/../y?q=..', '/y?q=..'],
  ['/%2e/x', '/x'],
  ['/a/%2E./x', '/x'],
  ['/%70rivate', '/private'],
  ['/%7Euser', '/~user'],
  ['/%2D%5F', '/-_'],
  ['/x/..;a=1/y', '/y'],
  ['/.;/x', '/x'],
  ['/;/x', '/x'],
  ['/x/..;a', '/'],
  ['/x\\y', '/x%5Cy'],
  ['/caf\xc3\xa9', '/caf%C3%A9'],
  ['/a b', '/a%20b'],
  ['/x\xa0', '/x%A0'],
  ['/x#y', '/x'],
  ['/x?y#z', '/x?y'],
  ['/x%2F..%2Fy', undefined],
  ['/..%2fy', undefined],
  ['/x/..%5Cy', undefined],
  ['/x%2F.', undefined],
  ['/x%2F..;a%2Fy', undefined],
  ["/o'brien?\xa0", "/o'brien?%A0"],
  ['http://h/x?q', '/x?q'],
  ['http://h', ''],
  ['foo://h/../x', '/x'],
  ['x/y', undefined],
]

test('gives the normal form of every other spelling, or none if there is none', () => {
  for (const [target, normal] of OTHER) {
    const found = misspelling(target, true)
    assert.ok(found !== undefined, target)
    assert.equal(found.normal, normal, target)
  }
})

test('allows a run of slashes without mergeSlashes, except at the beginning', () => {
  assert.equal(misspelling('/x//y///', false), undefined)
  assert.equal(misspelling('//x//y', false)?.normal, '/x//y')
  assert.equal(misspelling('/x//../y', false)?.normal, '/x/y')
})

test('takes no longer for a long path made to be slow', () => {
  const started = performance.now()
  for (const part of ['/a', '/', '/.', '/..', '%2e', '/a;', 'a', '/%2F.', ';/'])
    misspelling(`/${part.repeat(50_000)}\\`, true)
  assert.ok(performance.now() - started < 2_000)
})

const ABSOLUTE: [target: string, host: string | undefined, originForm: string | undefined][] = [
  ['http://h/x?q', 'h', '/x?q'],
  ['https://H.example:8080/x//y', 'h.Example:8080', '/x//y'],
  ['http://[::1]:80/', '[::1]:80', '/'],
  ['http://h', 'h', undefined],
  ['http://h?x', 'h', undefined],
  ['http://h/x', 'other', undefined],
  ['http://h:80/x', 'h', undefined],
  ['http://h/x', undefined, undefined],
  ['http://h;a/x', 'h;a', undefined],
  ['http://u@h/x', 'u@h', undefined],
  ['http://h%2Fa/x', 'h%2Fa', undefined],
  ['http:///x', '', undefined],
  ['HTTP://h/x', 'h', undefined],
  ['ws://h/x', 'h', undefined],
  ['/http://h/x', 'h', undefined],
]

test('gives the origin form of an absolute form with the own, plain host', () => {
  for (const [target, host, originForm] of ABSOLUTE) assert.equal(ownOriginForm(target, host), originForm, target)
})
