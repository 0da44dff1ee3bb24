import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodePath, prefixLength, RequestUrl } from '../../../packages/core/src/http/path.ts'
import { type EncodedSlashes, encodePath } from '../../../packages/core/src/http/percent-encoding.ts'

const latin1 = (utf8: string): string => Buffer.from(utf8, 'utf8').toString('latin1')

const requestTargets: [target: string, rawPath: string, query: string, authority: string | undefined][] = [
  ['/a', '/a', '', undefined],
  ['/a?', '/a', '?', undefined],
  ['/a?x=1?y', '/a', '?x=1?y', undefined],
  ['?x', '/', '?x', undefined],
  ['', '/', '', undefined],
  ['*', '*', '', undefined],
  ['//x', '//x', '', undefined],
  ['/http://h/', '/http://h/', '', undefined],
  ['http://front.example:8080/abs?q', '/abs', '?q', 'front.example:8080'],
  ['WSS://Front.example', '/', '', 'Front.example'],
  ['http://front.example?q', '/', '?q', 'front.example'],
]

test('splits a request target into path, query and, in absolute form, authority', () => {
  for (const [target, rawPath, query, authority] of requestTargets) {
    const url = new RequestUrl(target)
    assert.deepEqual([url.rawPath, url.query, url.authority], [rawPath, query, authority], target)
  }
})

test('decodes a path once for each value of encodedSlashes', () => {
  const url = new RequestUrl('/a%2Fb')
  assert.equal(url.path('keep'), url.path('keep'))
  assert.deepEqual([url.path('keep').text, url.path('decode').text], ['/a%2Fb', '/a/b'])
})

const decoded: [raw: string, text: string][] = [
  ['/', '/'],
  ['/a', '/a'],
  ['/a/', '/a/'],
  ['/a//x', '/a/x'],
  ['//x', '/x'],
  ['///', '/'],
  ['/a/./x', '/a/x'],
  ['/a/.', '/a/'],
  ['/a/..', '/'],
  ['/a/../c', '/c'],
  ['/a/b/../../c/', '/c/'],
  ['/a/%2e%2E/c', '/c'],
  ['/%61/./x', '/a/x'],
  ['/a/..;/c', '/a/..;/c'],
  ['/a/...', '/a/...'],
  ['/a/.x/..y', '/a/.x/..y'],
  ['/a/x%20y', '/a/x y'],
  ['/a/x%3By', '/a/x;y'],
  ['/a/x%3fy', '/a/x?y'],
  ['/a/%25', '/a/%'],
  ['/a/%252e%252e/c', '/a/%2e%2e/c'],
  ['/a/%7eu', '/a/~u'],
  ['/a/x%5Cy', '/a/x\\y'],
  ['/a/%0ax', '/a/\nx'],
  ['/a/x%23y', '/a/x#y'],
  ['/a/%c3%a9', '/a/é'],
  [latin1('/a/é'), '/a/é'],
  ['/a/%F0%9F%98%80', '/a/😀'],
  ['/a/%EF%BB%BFx', '/a/\ufeffx'],
  ['*', '*'],
]

test('normalises and decodes as httpd does before it matches', () => {
  for (const [raw, text] of decoded) assert.deepEqual(decodePath(raw, 'reject'), { text, fault: undefined }, raw)
})

const notUtf8 = ['/%ff', '/%80%bf', '/%c0%af', '/%ed%a0%80', '/%c3', '/%f4%90%80%80', '/%ffé%c3%a9%fe'].map(latin1)

test('keeps every byte of a path that is not UTF-8', () => {
  for (const raw of notUtf8) {
    const { text, fault } = decodePath(raw, 'reject')
    assert.equal(fault, undefined)
    const sent = encodePath(text, 'reject')
    const bytes = (path: string): string =>
      path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    assert.equal(bytes(sent), bytes(raw), raw)
    assert.match(sent, /^[\x21-\x7e]+$/)
  }
})

const slashes: [raw: string, how: EncodedSlashes, text: string, sent: string][] = [
  ['/a/x%2Fy', 'decode', '/a/x/y', '/a/x/y'],
  ['/a/x%2f%2Fy', 'decode', '/a/x/y', '/a/x/y'],
  ['/a/x%2F..%2Fy', 'decode', '/a/y', '/a/y'],
  ['/a/x%2F%2e%2e%2Fy', 'decode', '/a/y', '/a/y'],
  ['/a/x%252Fy', 'decode', '/a/x%2Fy', '/a/x%252Fy'],
  ['/a/x%2fy', 'keep', '/a/x%2fy', '/a/x%2fy'],
  ['/a/x%2F...%2Fy', 'keep', '/a/x%2F...%2Fy', '/a/x%2F...%2Fy'],
  ['/a/x%252Fy', 'keep', '/a/x%252Fy', '/a/x%252Fy'],
  ['/a/50%25%20x', 'keep', '/a/50%25 x', '/a/50%25%20x'],
  ['/a/x%252Fy', 'reject', '/a/x%2Fy', '/a/x%252Fy'],
]

test('decodes or keeps encoded slashes according to encodedSlashes, and never turns %252F into %2F', () => {
  for (const [raw, how, text, sent] of slashes) {
    const path = decodePath(raw, how)
    assert.deepEqual(path, { text, fault: undefined }, `${raw} ${how}`)
    assert.equal(encodePath(path.text, how), sent, `${raw} ${how}`)
  }
})

const unmerged: [raw: string, text: string][] = [
  ['/a//x', '/a//x'],
  ['//a/x', '/a/x'],
  ['/a//../x', '/a/x'],
  ['/a///./x/', '/a///x/'],
  ['/a/..//x', '//x'],
]

test('keeps runs of slashes if mergeSlashes is false', () => {
  for (const [raw, text] of unmerged)
    assert.deepEqual(decodePath(raw, 'reject', false), { text, fault: undefined }, raw)
})

const faults: [raw: string, how: EncodedSlashes, code: string, statusCode: number][] = [
  ['/a%2Fx', 'reject', 'WST_ERR_ENCODED_SLASH', 404],
  ['/a%2fx', 'reject', 'WST_ERR_ENCODED_SLASH', 404],
  ['/a%00', 'reject', 'WST_ERR_ENCODED_SLASH', 404],
  ['/a%00', 'decode', 'WST_ERR_ENCODED_SLASH', 404],
  ['/a%00', 'keep', 'WST_ERR_ENCODED_SLASH', 404],
  ['/a/x%zzy', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/%', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/%4', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/%4%31', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/%u0041', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a#frag', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a b', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a\tb', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a\x7fb', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/..', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/../../c', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/../../a/x', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/%2e%2e/x', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/x%2F..%2Fy', 'keep', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/x%2f..', 'keep', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/..%5Cx', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a/x%5C..%5Cy', 'reject', 'WST_ERR_BAD_REQUEST', 400],
  ['/a%2f..%2f..%2fx', 'decode', 'WST_ERR_BAD_REQUEST', 400],
]

test('returns the fault of a path without throwing it', () => {
  for (const [raw, how, code, statusCode] of faults) {
    const { fault } = decodePath(raw, how)
    assert.deepEqual([fault?.code, fault?.statusCode], [code, statusCode], `${JSON.stringify(raw)} ${how}`)
  }
})

const prefixes: [prefix: string, path: string, length: number][] = [
  ['/a', '/a', 2],
  ['/a', '/a/', 2],
  ['/a', '/a/x', 2],
  ['/a', '/ax', -1],
  ['/a', '/A', -1],
  ['/a', '/', -1],
  ['/a', '/a;p=1', -1],
  ['/a', '/a;p=1/x', -1],
  ['/a', '/a?x', -1],
  ['/a/', '/a', -1],
  ['/a/', '/a/', 3],
  ['/a/', '/a/x', 3],
  ['/a/', '/a//x', 4],
  ['/', '/', 1],
  ['/', '/x', 1],
  ['//a//b', '/a/b/d', 4],
  ['/a/b', '//a///b/d', 7],
  ['/a b', '/a b/x', 4],
  ['/a%20b', '/a b', -1],
  ['/é', '/é/x', 2],
  ['/a.b', '/axb', -1],
]

test('matches a prefix literally and up to a segment boundary, and a run of slashes like one slash', () => {
  for (const [prefix, path, length] of prefixes)
    assert.equal(prefixLength(path, prefix), length, `${prefix} on ${path}`)
})

const exact: [raw: string, text: string, decoded: string | undefined, sent: string][] = [
  ['/a%20b', '/a b', undefined, '/a%20b'],
  ['/caf%c3%a9', '/café', undefined, '/caf%C3%A9'],
  ['/a%40b@c', '/a%40b@c', '/a@b@c', '/a%40b@c'],
  ['/a%2bb%3Bc', '/a%2bb%3Bc', '/a+b;c', '/a%2bb%3Bc'],
  ['/100%25', '/100%25', '/100%', '/100%25'],
  ['/%2540', '/%2540', '/%40', '/%2540'],
  ['/x%3fy%23z%5C', '/x?y#z\\', undefined, '/x%3Fy%23z%5C'],
  ['/[x]|"<>^`{}', '/[x]|"<>^`{}', undefined, '/[x]|"<>^`{}'],
  ['/%5Bx%5d%7C%22', '/%5Bx%5d%7C%22', '/[x]|"', '/%5Bx%5d%7C%22'],
  ['/\u212a', '/\u212a', undefined, '/%E2%84%AA'],
]

test('keeps the escapes of printable characters if the spelling is exact, and sends them as they came', () => {
  for (const [raw, text, decoded, sent] of exact) {
    const path = decodePath(raw, 'reject', true, 'exact')
    assert.deepEqual([path.text, path.decoded, path.fault], [text, decoded, undefined], raw)
    assert.equal(encodePath(path.text, 'reject', 'exact'), sent, raw)
  }
  const kept = decodePath('/x%2Fy%40%252F', 'keep', true, 'exact')
  assert.deepEqual([kept.text, kept.decoded], ['/x%2Fy%40%252F', '/x%2Fy@%252F'])
  assert.equal(decodePath('/x%2Fy%40', 'decode', true, 'exact').text, '/x/y%40')
})
