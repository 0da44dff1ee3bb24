import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain, type Rewrite, type Target, type WsTunnelOptions } from '@ws-tunnel/core'

const TARGET = 'http://b.test/'

/** The request line the backend would see, or what happened instead. */
async function asked(options: WsTunnelOptions, url: string): Promise<string> {
  const { outcome } = await explain(options, { url, headers: { host: 'h.test' } })
  if (outcome.kind === 'refused') return outcome.code
  return outcome.kind === 'http' ? (outcome.backend.requestLine.split(' ')[1] as string) : outcome.kind
}

const rewriting = (rewrite: Rewrite, more: Partial<WsTunnelOptions> = {}): WsTunnelOptions =>
  ({ routes: [{ path: '/new', target: `${TARGET}n` }], rewrite, ...more }) as WsTunnelOptions

for (const [what, rewrite, url, line] of [
  ['gives routes another path', (_, { query }) => ({ path: '/new/x', query }), '/old?q=%20', '/n/x?q=%20'],
  ['gives them another query', (_, { path }) => ({ path, query: '?z' }), '/new/a?q', '/n/a?z'],
  ['may leave a request alone', () => undefined, '/new/a?q', '/n/a?q'],
  [
    'sees the path as routes match it',
    (_, { path, query }) => ({ path: `/new${path}`, query }),
    '/a%20/./b',
    '/n/a%20/b',
  ],
  ['encodes what it gives', () => ({ path: '/new/% é?', query: '' }), '/', '/n/%25%20%C3%A9%3F'],
  ['gives what begins with no slash to the app', () => ({ path: 'new', query: '' }), '/new', 'app'],
  [
    'answers 414 to a path that is too long for patterns',
    () => undefined,
    `/${'a'.repeat(9_000)}`,
    'WST_ERR_PATH_TOO_LONG',
  ],
  ['hears nothing of a malformed path', () => assert.fail(), '/%zz', 'app'],
  [
    'answers 500 where it throws',
    () => {
      throw new Error('no')
    },
    '/new',
    'WST_ERR_CALLBACK',
  ],
] as [string, Rewrite, string, string][]) {
  test(`rewrite ${what}`, async () => assert.equal(await asked(rewriting(rewrite), url), line))
}

test('rewrite sees encoded slashes as the option beside routes says', async () => {
  const options = rewriting((_, { path, query }) => ({ path: `/new${path}`, query }), { encodedSlashes: 'keep' })
  assert.equal(await asked(options, '/a%2Fb'), '/n/a%2Fb')
})

test('refuses a rewrite that is no function', async () => {
  await assert.rejects(asked({ target: TARGET, rewrite: '/x' as never }, '/'), /Expected `rewrite` to be a function/)
})

for (const [what, path, line] of [
  ['sends the very bytes a target function gives', '/a|b%zz/\xe9?x|y', '/a|b%zz/\xe9?x|y'],
  ['refuses a dot segment in them', '/a/../b', 'WST_ERR_FORBIDDEN_TARGET'],
  ['lets dots in their query be', '/a?/../b', '/a?/../b'],
  ['refuses a space in them', '/a b', 'WST_ERR_FORBIDDEN_TARGET'],
  ['refuses a line break in them', '/a\r\nX: y', 'WST_ERR_FORBIDDEN_TARGET'],
  ['refuses what is no path', 'a', 'WST_ERR_FORBIDDEN_TARGET'],
] as const) {
  test(what, async () => {
    const target: Target = () => ({ url: 'http://b.test', path })
    assert.equal(await asked({ target }, '/x?q'), line)
  })
}

test('500s the bytes of a target function whose URL is none', async () => {
  assert.equal(await asked({ target: () => ({ url: 'nonsense', path: '/' }) }, '/'), 'WST_ERR_CALLBACK')
})
