import assert from 'node:assert/strict'
import { test } from 'node:test'
import { patternDegree } from '../../../packages/core/src/util/pattern-degree.ts'

const DEGREES: [degree: number | undefined, ...patterns: RegExp[]][] = [
  [0, /^abc$/, /^a{1,3}(?:b|c)?$/, /^/, /^(?=abc)x/],
  [
    1,
    /foo/,
    /^\/(\w+)\/ws$/,
    /^\/lab\/(api\/kernels\/[^/]+\/channels|terminals\/websocket)\/?/s,
    /^(?:[^/]+\/)*ws$/,
    /^(?:one|two|three)*\/ws$/,
    /(?:^|; )sid=([^;]*)/,
    /sid=(\w+)\.node1/,
    /^(.*)$/s,
    /.*/s,
    /(?:ab)*/,
    /^[a-z]*1[a-z]*2[a-z]*3$/,
    /^caf\u00e9(?:\u0436|\u0437)*$/,
    /^\w+\b\./,
  ],
  [2, /(\w+)\/ws$/, /a+$/, /^.*x.*y/s, /^\/(.*)\/(.*)$/, /^(.*)\/(.*)\/(.*)$/s, /^.*.{100}.*x/s],
  [3, /^.*.*.*x/s, /^[a-z]*[A-Z]*[a-z]*1/i, /a*b?a*$/, /^\/(.*)a(.*)b(.*)c$/, /^.*.*.{400}x/s],
  [
    Number.POSITIVE_INFINITY,
    /(a+)+$/,
    /^(a|a)*$/,
    /^(?:a|aa)+$/,
    /^(\w|\d)*x/,
    /^(?:a*)*b/,
    /^((x+)y?)+$/,
    /^(?:\u0436|\u0436)*$/,
    /^(?:k|\u212a)*x/iu,
    /^(?:[a-m]|[l-z])*1/,
  ],
  [undefined, /^(a*)\1/, /^(?=a*b)x/, /^(?<!a+)b/, new RegExp(`^(?:${'a?'.repeat(30)}){100}$`)],
]

for (const [degree, ...patterns] of DEGREES)
  test(`gives the degree ${degree}`, () => {
    for (const { source, flags } of patterns) assert.equal(patternDegree(source, flags), degree, source)
  })

test('gives up after a number of steps, whatever the time', () => {
  const words = Array.from({ length: 40 }, (_, i) => `${'ab'.repeat(i)}c`).join('|')
  const before = process.cpuUsage()
  patternDegree(`^(?:${words})*(?:${words})*(?:${words})*x`, '')
  const { user } = process.cpuUsage(before)
  assert.ok(user < 10_000_000, `${user} µs`)
})
