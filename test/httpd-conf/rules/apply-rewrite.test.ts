import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outcomeOf } from '../support.ts'

const rows: [what: string, rules: string, url: string, outcome: string, headers?: Record<string, string>][] = [
  [
    'a rule with [P] comes before every ProxyPass',
    'RewriteRule ^/a/(.*) http://r.test/$1 [P]',
    '/a/x?q',
    'r.test /x?q',
  ],
  ['a request that no rule changes reaches ProxyPass', 'RewriteRule ^/a/(.*) http://r.test/$1 [P]', '/b', 'b.test /b'],
  ['[PT] passes another path to ProxyPass', 'RewriteRule ^/a/(.*) /c/$1?k [PT]', '/a/x%2520y?q', 'b.test /c/x%2520y?k'],
  ['without [PT] the result is a file, which the app handles', 'RewriteRule ^/a/(.*) /c/$1', '/a/x', 'app'],
  [
    'a rule sees the results of the rules before it',
    'RewriteRule ^/a/(.*) /c/$1\nRewriteRule ^/c/(.*) http://r.test/$1 [P]',
    '/a/x',
    'r.test /x',
  ],
  [
    'a rule of a chain that does not match skips the rest of the chain',
    'RewriteRule ^/a - [C]\nRewriteRule x$ - [C]\nRewriteRule ^ http://r.test/ [P]\nRewriteRule y$ - [F]',
    '/ay',
    '403',
  ],
  ['[S] skips the next rules', 'RewriteRule ^/a - [S=1]\nRewriteRule ^ - [F]\nRewriteRule ^ - [G]', '/a', '410'],
  [
    '[N] starts again with the first rule',
    'RewriteRule ^(.*)_(.*)$ $1-$2 [N]\nRewriteRule ^(.*)$ $1 [PT]',
    '/a_b_c',
    'b.test /a-b-c',
  ],
  ['[N] without an end is 500', 'RewriteRule ^/a /a [N]', '/a', '500'],
  ['a query that grows without an end is 500', 'RewriteRule ^ /a?%{QUERY_STRING}%{QUERY_STRING} [N]', '/?ab', '500'],
  ['a variable that grows without an end is 500', 'RewriteRule ^ - [E=V:%{ENV:V}%{ENV:V}1,N]', '/', '500'],
  ['a path that grows without an end is 500', 'RewriteRule ^(.*)$ $1$1 [N]', `/${'a'.repeat(100)}`, '500'],
  [
    '%{ENV:} sees the variable of [E]',
    'RewriteRule ^/(.) - [E=V:$1]\nRewriteCond %{ENV:V} =a\nRewriteRule ^ http://r.test/%{ENV:V} [P]',
    '/a',
    'r.test /a',
  ],
  ['[E=no-proxy] excludes the request from ProxyPass', 'RewriteRule ^/a - [E=no-proxy:1]', '/a', 'app'],
  [
    'a condition can join texts and captures',
    'RewriteCond $1/%{HTTP:X-A} ^a/b$\nRewriteRule ^/(.*) http://r.test/$1 [P]',
    '/a',
    'r.test /a',
    { 'x-a': 'b' },
  ],
  [
    'a later rule can change a redirect without [L]',
    'RewriteRule ^/a /b [R=301]\nRewriteRule ^http://[^/]+/b$ /c [R=307]',
    '/a',
    '307 http://h.test/c',
  ],
  ['a URL without [P] is a redirect', 'RewriteRule ^/a(.*) https://o.test$1', '/a/b?q', '302 https://o.test/b?q'],
  ['a captured "?" is 403', 'RewriteRule ^/a/(.*) http://r.test/$1 [P]', '/a/x%3Fy', '403'],
  ['a dot segment in the result is 403', 'RewriteRule ^/a/(.*) http://r.test/../$1 [P]', '/a/x', '403'],
  ['a capture right after the host is 403', 'RewriteRule ^/a(.*) http://r.test$1 [P]', '/ax', '403'],
  [
    'without fallback a rule to ws: responds with 426 to a plain request',
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
  ['a backslash belongs to the pattern', 'RewriteRule "^/a\\\\.b" - [F]', '/a.b', 'b.test /a.b'],
  [
    'a space in quotes is part of the flags',
    'RewriteRule ^/a - "[E=V:x y]"\nRewriteCond %{ENV:V} "=x y"\nRewriteRule ^ - [G]',
    '/a',
    '410',
  ],
  ['an empty pattern matches everything', 'RewriteCond %{HTTP:X-A} "" [NC]\nRewriteRule "" - [F]', '/a', '403'],
  ['an operator alone is a pattern', 'RewriteCond %{HTTP:X-A} =\nRewriteRule ^ - [F]', '/a', '403', { 'x-a': 'b=c' }],
  ['a malformed path is 400 before any rule', 'RewriteRule ^ - [F]', '/%zz', '400'],
  ['an encoded slash is 404 before any rule', 'RewriteRule ^ - [F]', '/a%2Fb', '404'],
]

test('applies the rules of mod_rewrite to a request', async t => {
  for (const [what, rules, url, outcome, headers] of rows) {
    const text = `RewriteEngine On\n${rules}\nProxyPass / http://b.test/`
    await t.test(what, async () => assert.equal(await outcomeOf(text, url, headers), outcome))
  }
})
