import assert from 'node:assert/strict'
import { test } from 'node:test'
import { translateRegex } from '../../../packages/httpd-conf/src/patterns/translate-regex.ts'

const problemOf = (pattern: string): string => {
  const translated = translateRegex(pattern)
  return 'problem' in translated ? translated.problem : ''
}

const slow = [
  '(a+)+$',
  '^/(.*)*x$',
  '(a|b+)*c',
  '^/((x+)y?)+$',
  '.*.*.*.*x',
  '^/(.*)a(.*)b(.*)c$',
  '^/(\\w+)(\\w+)(\\w+)$',
  'a+b*a+b*a+x',
  '^/(a|a)*$',
  '^(?:a|aa)+$',
  '^/(a?){30}a{30}$',
  '(?=(a|a)*$)x',
  '^(a|a)*(?!b)c',
  `^${'a?'.repeat(30)}a{30}$`,
  '^.{0,200}.{0,200}.{0,200}x',
  '^/(?!x)(a|a)*$',
  '^/(?<=/)(a|a)*$',
  '^/((?!x)a*)*$',
  '^/a*(?!a*a*x)$',
  '^/(?<!a*c*)b',
  '^/(a*)(\\1|a)*$',
  '(a+)\\1*b',
  '^/(?:(?:(?:a{0,7}){0,7}){0,7}){0,7}$',
  '^/((a{1,7}){1,7}){1,8}$',
  '^/(?:a?a?a?a?a?a?a?a?){8}$',
  '^/(?:a*){12}$',
  'a(?<=b*)',
  '^.*.*.{400}x',
  '(?m)^.*a.*b$',
  '^/([^/]+)/.*a.*b.*c$',
  '(?i)^[a-z]*A[a-z]*B[a-z]*C[a-z]*d$',
]

test('refuses a pattern that takes more than the square of the length of a path', () => {
  for (const pattern of slow)
    assert.match(
      problemOf(pattern),
      /exponential|to the power|could not be shown|ways together|no fixed length/,
      pattern,
    )
})

const fast = [
  '^/lab/(api/kernels/[^/]+/channels|terminals/websocket)/?',
  '^/[ab]+$',
  '^/(a|b)$',
  '^/(\\w+)/(.*)$',
  '^/[\\s\\S]+$',
  '^/(.*)/(.*)/(.*)$',
  '^/([^/]+)/([^/]+)/([^/]+)/([^/]+)/x$',
  '^(/.*\\.gif)$',
  '(a|b)+',
  '^/[a-f0-9-]{36}/ws$',
  '^/[^/]{1,64}/[^/]{1,64}$',
  '^/(\\d{1,3})\\.(\\d{1,3})/(.*)$',
  '^/(?:[^/]+/)*ws$',
  '^/(?:one|two|three)*/ws$',
  '^/(?!static/|api/).*$',
  '^/(?!.*\\.php$).*',
  '^((?!foo).)*$',
  '^(.*)(?<!/)$',
  '^/(?=.*\\d)(?=.*[a-z]).{8,64}$',
  '^/([a-z]+)/\\1/(.*)$',
  '^/(?:25[0-5]|1?\\d?\\d)(?:\\.(?:25[0-5]|1?\\d?\\d)){3}$',
  '\\.(?:css|js|png|jpe?g)$',
  '^/documentserver-virtual-path/?(.*)',
  '^/[a-f0-9-]{36}/(\\d+)/(.*)$',
  '^/a-long-name-of-a-service/([^/]+)/another-long-name/([^/]+)/(.*)$',
  '^.*.{400}.*x',
  '^/(.*)/x?(.*)$',
  '^(?:a?){6}$',
  '(?m)^/(.*)$',
]

test('accepts a pattern that takes at most the square of the length of a path', () => {
  for (const pattern of fast) assert.equal(problemOf(pattern), '', pattern)
})

test('accepts a pattern of repeated characters at once, however long its text is', () => {
  assert.equal(problemOf(`^/${'text-of-a-path/'.repeat(100)}(.*)$`), '')
})
