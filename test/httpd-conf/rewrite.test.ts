import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ExplainedOutcome, explain, type WsTunnelOptions } from '@ws-tunnel/core'
import { compileHttpdConf, type HttpdConf } from '@ws-tunnel/httpd-conf'

const PASS = 'ProxyPass / http://b.test/'

const compiled = (rules: string, conf: Partial<HttpdConf> = {}): WsTunnelOptions => {
  const { options, diagnostics } = compileHttpdConf({ text: `RewriteEngine On\n${rules}\n${PASS}`, ...conf })
  assert.ok(options, diagnostics.map(({ message }) => message).join())
  return options
}

const errorsOf = (rules: string): string[] =>
  compileHttpdConf({ text: `RewriteEngine On\n${rules}\n${PASS}` })
    .diagnostics.filter(({ severity }) => severity === 'error')
    .map(({ message }) => message)

const said = (outcome: ExplainedOutcome): string => {
  if (outcome.kind === 'app') return 'app'
  if (outcome.kind === 'refused') return String(outcome.statusCode)
  if (outcome.kind === 'answer') return `${outcome.status} ${outcome.location ?? ''}`.trim()
  return `${outcome.backend.host} ${outcome.backend.requestLine.split(' ')[1]}`
}

async function of(rules: string, url: string, headers: Record<string, string> = {}): Promise<string> {
  return said((await explain(compiled(rules), { url, headers: { host: 'h.test', ...headers } })).outcome)
}

const rows: [what: string, rules: string, url: string, outcome: string, headers?: Record<string, string>][] = [
  ['a rule with [P] goes before every ProxyPass', 'RewriteRule ^/a/(.*) http://r.test/$1 [P]', '/a/x?q', 'r.test /x?q'],
  ['what no rule changes goes on', 'RewriteRule ^/a/(.*) http://r.test/$1 [P]', '/b', 'b.test /b'],
  ['[PT] goes on with another path', 'RewriteRule ^/a/(.*) /c/$1?k [PT]', '/a/x%2520y?q', 'b.test /c/x%2520y?k'],
  ['without [PT] it is a file, and not ours', 'RewriteRule ^/a/(.*) /c/$1', '/a/x', 'app'],
  [
    'a rule sees what those before made',
    'RewriteRule ^/a/(.*) /c/$1\nRewriteRule ^/c/(.*) http://r.test/$1 [P]',
    '/a/x',
    'r.test /x',
  ],
  [
    'a broken chain passes over the rest of it',
    'RewriteRule ^/a - [C]\nRewriteRule x$ - [C]\nRewriteRule ^ http://r.test/ [P]\nRewriteRule y$ - [F]',
    '/ay',
    '403',
  ],
  ['[S] skips', 'RewriteRule ^/a - [S=1]\nRewriteRule ^ - [F]\nRewriteRule ^ - [G]', '/a', '410'],
  ['[N] goes round', 'RewriteRule ^(.*)_(.*)$ $1-$2 [N]\nRewriteRule ^(.*)$ $1 [PT]', '/a_b_c', 'b.test /a-b-c'],
  ['[N] without an end is 500', 'RewriteRule ^/a /a [N]', '/a', '500'],
  ['a query that grows without an end is 500', 'RewriteRule ^ /a?%{QUERY_STRING}%{QUERY_STRING} [N]', '/?ab', '500'],
  ['a variable that grows without an end is 500', 'RewriteRule ^ - [E=V:%{ENV:V}%{ENV:V}1,N]', '/', '500'],
  ['a path that grows without an end is 500', 'RewriteRule ^(.*)$ $1$1 [N]', `/${'a'.repeat(100)}`, '500'],
  [
    '[E] is seen by %{ENV:}',
    'RewriteRule ^/(.) - [E=V:$1]\nRewriteCond %{ENV:V} =a\nRewriteRule ^ http://r.test/%{ENV:V} [P]',
    '/a',
    'r.test /a',
  ],
  ['[E=no-proxy] keeps it from ProxyPass', 'RewriteRule ^/a - [E=no-proxy:1]', '/a', 'app'],
  [
    'a condition may join texts and captures',
    'RewriteCond $1/%{HTTP:X-A} ^a/b$\nRewriteRule ^/(.*) http://r.test/$1 [P]',
    '/a',
    'r.test /a',
    { 'x-a': 'b' },
  ],
  [
    'a redirect without [L] may be led on',
    'RewriteRule ^/a /b [R=301]\nRewriteRule ^http://[^/]+/b$ /c [R=307]',
    '/a',
    '307 http://h.test/c',
  ],
  ['a URL without [P] is a redirect', 'RewriteRule ^/a(.*) https://o.test$1', '/a/b?q', '302 https://o.test/b?q'],
  ['a captured "?" is 403', 'RewriteRule ^/a/(.*) http://r.test/$1 [P]', '/a/x%3Fy', '403'],
  ['a dot segment in what comes out is 403', 'RewriteRule ^/a/(.*) http://r.test/../$1 [P]', '/a/x', '403'],
  ['a capture glued to the host is 403', 'RewriteRule ^/a(.*) http://r.test$1 [P]', '/ax', '403'],
  [
    'without fallback a rule to ws: answers 426 where no upgrade is asked for',
    'ProxyWebsocketFallbackToProxyHttp Off\nRewriteRule ^/a ws://r.test/ [P]',
    '/a',
    '426',
  ],
  [
    'a backslash joins a space to the word',
    'RewriteCond %{HTTP:X-A} ^a\\ b$\nRewriteRule ^ - [F]',
    '/',
    '403',
    { 'x-a': 'a b' },
  ],
  ['a backslash is the business of the pattern', 'RewriteRule "^/a\\\\.b" - [F]', '/a.b', 'b.test /a.b'],
  [
    'a space in quotes is part of the flags',
    'RewriteRule ^/a - "[E=V:x y]"\nRewriteCond %{ENV:V} "=x y"\nRewriteRule ^ - [G]',
    '/a',
    '410',
  ],
  ['an empty pattern matches everything', 'RewriteCond %{HTTP:X-A} "" [NC]\nRewriteRule "" - [F]', '/a', '403'],
  ['a sign alone is a pattern', 'RewriteCond %{HTTP:X-A} =\nRewriteRule ^ - [F]', '/a', '403', { 'x-a': 'b=c' }],
  ['a path that is none is 400 before any rule', 'RewriteRule ^ - [F]', '/%zz', '400'],
  ['an encoded slash is 404 before any rule', 'RewriteRule ^ - [F]', '/a%2Fb', '404'],
]

test('runs the rules of mod_rewrite', async t => {
  for (const [what, rules, url, outcome, headers] of rows) {
    await t.test(what, async () => assert.equal(await of(rules, url, headers), outcome))
  }
})

test('explains what became of each rule', async () => {
  const rules = `RewriteRule ^/a/(.*) /b/$1?k
RewriteRule ^/x - [F]
RewriteCond %{HTTP:X-A} .
RewriteRule ^/b - [G]
RewriteRule ^/b/(.*) http://r.test/$1 [P]`
  const { rewriting } = await explain(compiled(rules), { url: '/a/x', headers: { host: 'h.test' } })
  assert.deepEqual(rewriting, [
    'RewriteRule httpd.conf:2: makes /b/x?k',
    'RewriteRule httpd.conf:3: the pattern does not match /b/x',
    'RewriteRule httpd.conf:5: condition 1 does not hold',
    'RewriteRule httpd.conf:6: makes http://r.test/x?k',
  ])
})

test('lets no rule loose whose condition was left out', async () => {
  const rules = 'RewriteCond %{LA-U:REMOTE_USER} x\nRewriteRule ^/ ws://r.test/ [P]'
  assert.deepEqual(errorsOf(rules), ['the variable %{LA-U:REMOTE_USER} is not supported'])
  const { outcome } = await explain(compiled(rules, { allow: ['RewriteCond'] }), { url: '/', headers: { host: 'h' } })
  assert.equal(said(outcome), 'b.test /')
})

test('reads the engine where it was switched last, and no rule of an engine that is off', async () => {
  const rule = 'RewriteRule ^/x - [G]'
  const of = async (text: string): Promise<string> => {
    const { options } = compileHttpdConf({ text })
    assert.ok(options)
    return said((await explain(options, { url: '/x', headers: { host: 'h' } })).outcome)
  }
  assert.equal(await of(`${rule}\n${PASS}\nRewriteEngine On`), '410')
  assert.equal(await of(`RewriteEngine On\n${rule}\n${PASS}\nRewriteEngine Off`), 'b.test /x')
  const host = `<VirtualHost *:80>\nServerName v.test\n${PASS}\n</VirtualHost>`
  assert.equal(await of(`RewriteEngine On\n${rule}\n${host}`), 'b.test /x')
})

test('warns of a URL with a name of its own, which httpd would take off', () => {
  const warned = (rule: string): number[] => {
    const names = 'ServerName Own.test\nServerAlias other.test'
    const text = `<VirtualHost *:80>\n${names}\nRewriteEngine On\n${rule}\n${PASS}\n</VirtualHost>`
    return compileHttpdConf({ text })
      .diagnostics.filter(({ severity, message }) => severity === 'warning' && /removes its own name/.test(message))
      .map(({ line }) => line)
  }
  assert.deepEqual(warned('RewriteRule ^/a https://own.TEST/b [L]'), [5])
  assert.deepEqual(warned('RewriteRule ^/a http://other.test:80/$1'), [5])
  for (const rule of ['https://own.test/b [R]', 'http://own.test/b [P]', 'http://own.test.org/b', '/own.test/b'])
    assert.deepEqual(warned(`RewriteRule ^/a ${rule}`), [])
})

test('refuses by name what it cannot honour, or what would be unsafe', () => {
  for (const [line, message] of [
    ['RewriteRule ^/a - [CO=a:b:c]', /flag CO/],
    ['RewriteRule ^/a - [H=cgi-script]', /flag H/],
    ['RewriteRule ^/a - [R=201]', /status is not supported/],
    ['RewriteRule ^/a - [R=999]', /invalid HTTP response code '999' for flag 'R'/],
    ['RewriteRule ^/a https://%{LA-U:REMOTE_USER}/ [R,L]', /%\{LA-U:REMOTE_USER\} is not supported/],
    [`RewriteRule ^/a /\${map:$1} [PT]`, /maps are not supported/],
    ['RewriteRule ^/a ws://%{HTTP_HOST}/ [P]', /host and port are fixed/],
    ['RewriteRule ^/(a) ws://$1.test/ [P]', /host and port are fixed/],
    ['RewriteRule ^/(a) ws://r.test:$1/ [P]', /port/],
    ['RewriteRule ^/a /b [P]', /host and port are fixed/],
    ['RewriteRule ^/a http://%{HTTP_HOST}/b', /removes its own name/],
    ['RewriteRule ^/a %{REQUEST_SCHEME}://%{HTTP_HOST}/b', /removes its own name/],
    ['RewriteRule ^/a ws://r.test/ [P,PT]', /P together with PT/],
    ['RewriteRule ^/(a|a)*$ - [F]', /exponential/],
    ['RewriteCond %{REQUEST_FILENAME} -f\nRewriteRule ^/a - [F]', /tests of files/],
    ['RewriteCond expr "-R \'10.0.0.0/8\'"\nRewriteRule ^/a - [F]', /"-R '10.*" is not supported/],
    ["RewriteCond expr \"base64('a') == 'b'\"\nRewriteRule ^/a - [F]", /base64\(\) is not supported/],
    ['RewriteCond expr "%{REMOTE_USER} == \'b\'"\nRewriteRule ^/a - [F]', /%\{REMOTE_USER\} is not supported/],
    ["RewriteCond expr \"'a' == 'b' &&\"\nRewriteRule ^/a - [F]", /ends too soon/],
    [`RewriteCond expr "${'('.repeat(60)}"\nRewriteRule ^/a - [F]`, /more than 50 deep/],
  ] as const) {
    assert.match(errorsOf(line).join('\n'), message, line)
  }
})

test('says that more rounds than it makes are not made', () => {
  const { diagnostics } = compileHttpdConf({ text: `RewriteEngine On\nRewriteRule ^/a /b [N=20000]\n${PASS}` })
  assert.deepEqual(
    diagnostics.map(({ severity, message }) => [severity, message]),
    [['warning', 'at most 1000 rounds are made']],
  )
})
