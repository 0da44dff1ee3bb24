import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTunnelProxy, type WsTunnelError } from '@ws-tunnel/core'
import { hpm } from '@ws-tunnel/http-proxy-middleware'

const refused = (options: unknown): string => {
  try {
    hpm(options as object)
  } catch (error) {
    assert.equal((error as WsTunnelError).code, 'WST_ERR_OPTION')
    return (error as Error).message.replace('WST_ERR_OPTION: An option is wrong: ', '')
  }
  return 'nothing is wrong'
}

test('refuses options that contradict those of the route, all in one error, with what to write instead', () => {
  assert.equal(
    refused({ target: 'http://a.example', on: { open: () => {} }, pathRewrite: { '^/api': '' }, headers: {} }),
    'hpm() does not take `target`: write `target` beside `fallback`: wsTunnel({ target, fallback: hpm({ ... }) }); ' +
      '`pathRewrite`: the path of `target` replaces the one that the route matched; ' +
      '`on.open`: write `onOpen` beside `fallback`',
  )
})

const CONTRADICTING = [
  'target router forward pathFilter pathRewrite prependPath ignorePath toProxy ws upgradeTimeout agent localAddress secure',
  'ssl http2 changeOrigin xfwd preserveHeaderKeyCase proxyTimeout timeout followRedirects buffer method',
]
for (const name of CONTRADICTING.join(' ').split(' ')) {
  test(`refuses ${name}`, () => {
    assert.match(refused({ [name]: true }), new RegExp(`^hpm\\(\\) does not take \`${name}\`: \\w+`))
    assert.equal(refused({ [name]: undefined }), 'nothing is wrong')
  })
}

for (const [options, message] of [
  [{ logers: console }, 'Unknown option `logers` of `hpm`; did you mean `logger`?'],
  [{ on: { proxyReg: () => {} } }, 'Unknown option `on.proxyReg` of `hpm`; did you mean `proxyReq`?'],
  [{ on: { proxyReq: 'no' } }, 'Expected `on.proxyReq` of `hpm` to be a function, got "no" (string)'],
  [{ on: [] }, 'Expected `on` of `hpm` to be an object of listeners, got an array of 0'],
  [{ plugins: [1] }, 'Expected `plugins` of `hpm` to be a list of plugins, got an array of 1'],
  [{ selfHandleResponse: 1 }, 'Expected `selfHandleResponse` of `hpm` to be true or false, got 1 (number)'],
  [
    { cookieDomainRewrite: true },
    'Expected `cookieDomainRewrite` of `hpm` to be false, a domain, or an object of domains, got true (boolean)',
  ],
  [{ headers: { a: 1 } }, 'Expected `headers` of `hpm` to be an object of header fields, got an object'],
  ['no', 'Expected the options of `hpm` to be an object, got "no" (string)'],
  [{}, 'nothing is wrong'],
  [
    { on: {}, plugins: [], ejectPlugins: true, cookiePathRewrite: false, logger: console, auth: 'a:b' },
    'nothing is wrong',
  ],
] as const) {
  test(`says what is wrong with ${JSON.stringify(options)}`, () => assert.equal(refused(options), message))
}

test('refuses what is neither true, false, a function nor an engine in fallback', () => {
  for (const fallback of ['hpm', {}, null, [hpm()]]) {
    assert.throws(() => createTunnelProxy({ target: 'ws://localhost:9000', fallback: fallback as never }), {
      message: /Expected `fallback` to be true, false, a function \(req, res, next\) or an engine such as hpm\(\)/,
    })
  }
})
