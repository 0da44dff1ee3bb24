import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type Rewrite, type Target, type WsTunnelOptions } from '@ws-tunnel/core'

const TARGET = 'http://b.test/'

/** The request target that the backend would get, or the outcome. */
async function requestTarget(options: WsTunnelOptions, url: string): Promise<string> {
  const { outcome } = await explain(options, { url, headers: { host: 'h.test' } })
  if (outcome.kind === 'refused') return outcome.code
  return outcome.kind === 'http' ? (outcome.backend.requestLine.split(' ')[1] as string) : outcome.kind
}

const rewriting = (rewrite: Rewrite, more: Partial<WsTunnelOptions> = {}): WsTunnelOptions =>
  ({ routes: [{ path: '/new', target: `${TARGET}n` }], rewrite, ...more }) as WsTunnelOptions

for (const [what, rewrite, url, line] of [
  ['gives routes another path', (_, { query }) => ({ path: '/new/x', query }), '/old?q=%20', '/n/x?q=%20'],
  ['gives them another query', (_, { path }) => ({ path, query: '?z' }), '/new/a?q', '/n/a?z'],
  ['may return nothing and change nothing', () => undefined, '/new/a?q', '/n/a?q'],
  [
    'sees the path as routes match it',
    (_, { path, query }) => ({ path: `/new${path}`, query }),
    '/a%20/./b',
    '/n/a%20/b',
  ],
  ['has its result encoded', () => ({ path: '/new/% é?', query: '' }), '/', '/n/%25%20%C3%A9%3F'],
  ['passes a request to the app by a path without a leading slash', () => ({ path: 'new', query: '' }), '/new', 'app'],
  [
    'refuses a path that is too long for patterns with 414',
    () => undefined,
    `/${'a'.repeat(9_000)}`,
    'WST_ERR_PATH_TOO_LONG',
  ],
  ['is not called for a malformed path', () => assert.fail(), '/%zz', 'app'],
  [
    'fails with 500 if it throws',
    () => {
      throw new Error('no')
    },
    '/new',
    'WST_ERR_CALLBACK',
  ],
] as [string, Rewrite, string, string][]) {
  test(`rewrite ${what}`, async () => assert.equal(await requestTarget(rewriting(rewrite), url), line))
}

test('rewrite gets encoded slashes as the option beside routes defines', async () => {
  const options = rewriting((_, { path, query }) => ({ path: `/new${path}`, query }), { encodedSlashes: 'keep' })
  assert.equal(await requestTarget(options, '/a%2Fb'), '/n/a%2Fb')
})

test('refuses a rewrite that is not a function', async () => {
  await assert.rejects(
    requestTarget({ target: TARGET, rewrite: '/x' as never }, '/'),
    /Expected `rewrite` to be a function/,
  )
})

for (const [what, path, line] of [
  ['sends the exact bytes of a target function', '/a|b%zz/\xe9?x|y', '/a|b%zz/\xe9?x|y'],
  ['refuses a dot segment in them', '/a/../b', 'WST_ERR_FORBIDDEN_TARGET'],
  ['allows dot segments in their query', '/a?/../b', '/a?/../b'],
  ['refuses a space in them', '/a b', 'WST_ERR_FORBIDDEN_TARGET'],
  ['refuses a line break in them', '/a\r\nX: y', 'WST_ERR_FORBIDDEN_TARGET'],
  ['refuses a text that is not a path', 'a', 'WST_ERR_FORBIDDEN_TARGET'],
] as const) {
  test(what, async () => {
    const target: Target = () => ({ url: 'http://b.test', path })
    assert.equal(await requestTarget({ target }, '/x?q'), line)
  })
}

test('500s an exact target whose URL is invalid', async () => {
  assert.equal(await requestTarget({ target: () => ({ url: 'nonsense', path: '/' }) }, '/'), 'WST_ERR_CALLBACK')
})

for (const [url, sent] of [
  ['/users/a%40b', '/n/users/a@b'],
  ['/%2540', '/n/%2540'],
  ['/100%25', '/n/100%25'],
] as const) {
  test(`rewrite gets ${url} decoded with paths: exact, and its result is encoded once`, async () => {
    const rewrite: Rewrite = (_, { path, query }) => ({ path: `/new${path}`, query })
    assert.equal(await requestTarget(rewriting(rewrite, { paths: 'exact' }), url), sent)
  })
}

test('rewrite changes nothing of a path with paths: exact if it returns nothing', async () => {
  assert.equal(
    await requestTarget(
      rewriting(() => undefined, { paths: 'exact' }),
      '/new/a%40b',
    ),
    '/n/a%40b',
  )
})
