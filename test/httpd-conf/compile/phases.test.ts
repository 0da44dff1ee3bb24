import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { messagesOf, optionsOf, outcomeOf } from '../support.ts'

const PASS = 'ProxyPass /p http://b.test'
const ws = { upgrade: 'websocket', connection: 'Upgrade' }

const rows: [what: string, lines: string, url: string, outcome: string, headers?: Record<string, string>][] = [
  [
    'a rule of a section sees the file name',
    'DocumentRoot /srv\n<Location /a>\nRewriteEngine On\nRewriteRule ^/srv/(.*) http://r.test/$1 [P]\n</Location>',
    '/a/x?q',
    'r.test /a/x?q',
  ],
  [
    'the document root of Debian without DocumentRoot',
    '<Location /a>\nRewriteEngine On\nRewriteRule /var/www/(.*) http://r.test/$1 [P]\n</Location>',
    '/a/x',
    'r.test /html/a/x',
  ],
  [
    'a rule of a section sees the URL of a ProxyPass that matches',
    '<Location /p>\nRewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket\nRewriteRule /b.test/(.*)|b.test(/.*)$ ws://r.test/$1$2 [P]\n</Location>',
    '/p/x?q',
    'r.test /x?q',
    ws,
  ],
  [
    'a rule of a section sees no URL of a ProxyPass in an outer section',
    'DocumentRoot /srv\n<Location />\nProxyPass http://one.test/\n</Location>\n<LocationMatch ^/a+$>\nProxyPass !\nRewriteEngine On\nRewriteRule one.test http://two.test/ [P]\nRewriteRule /srv/ http://r.test/ [P]\n</LocationMatch>',
    '/aa',
    'r.test /',
  ],
  [
    'a file name without runs of slashes',
    'MergeSlashes Off\nDocumentRoot /srv\n<Location />\nRewriteEngine On\nRewriteRule (.*) http://r.test/$1 [P]\n</Location>',
    '/a//b',
    'r.test /srv/a/b',
  ],
  [
    'the URL of a rule in a section as it is, after a ProxyPass with nocanon',
    'ProxyPass / http://one.test/ nocanon\n<Location />\nRewriteEngine On\nRewriteRule one.test/(.*) http://r.test/$1 [P]\n</Location>',
    '/a%78',
    'r.test /a%78',
  ],
  [
    'a rule of a Directory',
    'DocumentRoot /srv\n<Directory /srv>\nRewriteEngine On\nRewriteRule ^a/(.*) http://r.test/$1 [P]\n</Directory>',
    '/a/x',
    'r.test /x',
  ],
  [
    'the access control of a Directory, before a rule leads to a backend',
    'DocumentRoot /srv\n<Directory />\nRequire all denied\n</Directory>\n<Location /a>\nRewriteEngine On\nRewriteRule a/(.*) http://r.test/$1 [P]\n</Location>',
    '/a/x',
    '403',
  ],
  [
    'the access control of <Files>, before a rule leads to a backend',
    '<FilesMatch "^\\.ht">\nRequire all denied\n</FilesMatch>\n<Location /a>\nRewriteEngine On\nRewriteRule a/(.*) http://r.test/$1 [P]\n</Location>',
    '/a/.htaccess',
    '403',
  ],
  [
    'another file than that of <Files>',
    '<Files .htaccess>\nRequire all denied\n</Files>\n<Location /a>\nRewriteEngine On\nRewriteRule a/(.*) http://r.test/$1 [P]\n</Location>',
    '/a/.htaccessx',
    'r.test /.htaccessx',
  ],
  [
    '<Files> in a Directory',
    'DocumentRoot /srv\n<Directory /srv/b>\n<Files *.x>\nRequire all denied\n</Files>\n</Directory>\n<Location />\nRewriteEngine On\nRewriteRule srv/(.*) http://r.test/$1 [P]\n</Location>',
    '/b/a.x',
    '403',
  ],
  [
    '<Files> in another Directory',
    'DocumentRoot /srv\n<Directory /srv/b>\n<Files *.x>\nRequire all denied\n</Files>\n</Directory>\n<Location />\nRewriteEngine On\nRewriteRule srv/(.*) http://r.test/$1 [P]\n</Location>',
    '/c/a.x',
    'r.test /c/a.x',
  ],
  [
    '<Files> for a request that a ProxyPass leads to a backend',
    '<Files x>\nRequire all denied\n</Files>\n<Location /a>\nRewriteEngine On\nRewriteRule a/(.*) http://r.test/$1 [P]\n</Location>',
    '/p/x',
    'b.test /x',
  ],
  [
    'a rule of a section that does not match changes nothing',
    '<Location /p>\nRewriteEngine On\nRewriteRule zzz - [F]\n</Location>',
    '/p/x',
    'b.test /x',
  ],
  [
    'the engine of the server is on in sections',
    'RewriteEngine On\n<Location /p>\nRewriteRule x - [F]\n</Location>',
    '/p/x',
    '403',
  ],
  [
    'the engine of a section can be off',
    'RewriteEngine On\n<Location /p>\nRewriteEngine Off\nRewriteRule x - [F]\n</Location>',
    '/p/x',
    'b.test /x',
  ],
  [
    'rules are forbidden without FollowSymLinks',
    'Options None\n<Location /p>\nRewriteEngine On\nRewriteRule zzz - [F]\n</Location>',
    '/p/x',
    '403',
  ],
  [
    'a relative result is below the section, and an internal redirect passes the phases again',
    'DocumentRoot /srv\n<Location /srv/a>\nRewriteEngine On\n</Location>\n<Location /a>\nRewriteEngine On\nRewriteRule x$ /srv/p/y\n</Location>',
    '/a/x',
    'b.test /y',
  ],
  [
    'an internal redirect that never ends is 500',
    'DocumentRoot /srv\n<Location />\nRewriteEngine On\nRewriteRule (.*)$ /srv/n$1 [L]\n</Location>',
    '/a',
    '500',
  ],
  [
    'a redirect of a section',
    '<Location /p>\nRewriteEngine On\nRewriteRule x$ https://o.test/$0 [R=301]\n</Location>',
    '/p/x',
    '301 https://o.test/x',
  ],
  [
    'a rule of an <If> sees the URL of a ProxyPass that matches',
    '<If "%{HTTP:Upgrade} =~ /websocket/">\nRewriteEngine On\nRewriteRule ^proxy:http://b.test(.*) ws://r.test$1 [P]\n</If>',
    '/p/x?q',
    'r.test /x?q',
    ws,
  ],
  [
    'a rule of an <If> sees the query after a rule with [NE], and must not capture its mark',
    'RewriteEngine On\nRewriteRule ^/n/(.*) http://c.test/$1 [P,NE]\n<If "true">\nRewriteEngine On\nRewriteRule c.test(.*) http://r.test$1 [P]\n</If>',
    '/n/x?q',
    '403',
  ],
  [
    'a rule of an <If> whose condition does not hold',
    '<If "%{HTTP:Upgrade} =~ /websocket/">\nRewriteEngine On\nRewriteRule . - [F]\n</If>',
    '/p/x',
    'b.test /x',
  ],
  [
    'the rules of an <If> replace those of the Location around it',
    'RewriteEngine On\n<Location /p>\nRewriteRule . - [G]\n<If "-n %{HTTP:Upgrade}">\nRewriteRule . - [F]\n</If>\n</Location>',
    '/p/x',
    '403',
    ws,
  ],
  [
    'a Location whose <If> alone has rules has none itself',
    'RewriteEngine On\n<Location />\nRewriteRule . - [G]\n</Location>\n<Location /p>\n<If "false">\nRewriteRule . - [F]\n</If>\n</Location>',
    '/p/x',
    '410',
  ],
  ['a rule of a <Proxy>', '<Proxy http://b.test>\nRewriteEngine On\nRewriteRule /x$ - [F]\n</Proxy>', '/p/x', '403'],
  [
    'a rule of a <Proxy> for another backend',
    '<Proxy http://c.test>\nRewriteEngine On\nRewriteRule . - [F]\n</Proxy>',
    '/p/x',
    'b.test /x',
  ],
  [
    'the requested path decides which section has a ProxyPass, not the path of [PT]',
    'RewriteEngine On\nRewriteRule ^/a /s [PT]\n<Location /s>\nProxyPass http://s.test/\n</Location>',
    '/a',
    'app',
  ],
]

test('passes a request through the phases of httpd', async t => {
  for (const [what, lines, url, outcome, headers] of rows)
    await t.test(what, async () => assert.equal(await outcomeOf(`${lines}\n${PASS}`, url, headers), outcome))
})

test('applies access control before the rules of a section, and after those of the server', async () => {
  const guarded = '<Location />\nRequire all denied\nRewriteEngine On\nRewriteRule . - [G]\n</Location>'
  assert.equal(await outcomeOf(`${guarded}\n${PASS}`, '/p'), '403')
  assert.equal(await outcomeOf(`RewriteEngine On\nRewriteRule ^ - [G]\n${guarded}\n${PASS}`, '/p'), '410')
})

test('sends the cookies of [CO] and the fields of Header always with responses of its own', async () => {
  const text = `RewriteEngine On
Header always set Strict-Transport-Security max-age=9
RewriteRule ^/a /b [R,CO=n:v:.h.test:0:/x:secure:httponly:Lax]
${PASS}`
  const options = optionsOf(text)
  const req = { url: '/a', headers: { host: 'h.test' } }
  assert.equal((await explain(options, req)).outcome.kind, 'respond')
  assert.equal(typeof options.localHeaders, 'function')
})

test('applies early RequestHeader lines before the rules', async () => {
  const text = `RequestHeader set X-A early early\nRewriteEngine On\nRewriteCond %{HTTP:X-A} early\nRewriteRule ^ - [F]\n${PASS}`
  assert.equal(await outcomeOf(text, '/p'), '403')
})

test('does without the phases where no line needs them', () => {
  assert.equal(optionsOf(`RequestHeader set X 1\n${PASS}`).rewrite, undefined)
  assert.equal(optionsOf(`<Location /a>\nProxyPreserveHost On\n</Location>\n${PASS}`).rewrite, undefined)
  assert.deepEqual(messagesOf(PASS, 'error'), [])
})

test('a rule without a substitution sees a percent sign as a character, whatever AllowEncodedSlashes says', async () => {
  for (const mode of ['Off', 'On', 'NoDecode'])
    for (const rule of ['RewriteRule ^/pct%$ - [F]', 'RewriteCond %{REQUEST_URI} pct%$\nRewriteRule ^ - [F]']) {
      const text = `AllowEncodedSlashes ${mode}\nRewriteEngine On\n${rule}\nProxyPass / http://b.test/`
      assert.equal(await outcomeOf(text, '/pct%25'), '403', `${mode} ${rule}`)
    }
})

test('a section names a percent sign as a character, whatever AllowEncodedSlashes says', async () => {
  for (const mode of ['Off', 'On', 'NoDecode']) {
    const text = `AllowEncodedSlashes ${mode}\n<Location "/pct%">\nRequire all denied\n</Location>\nProxyPass / http://b.test/`
    assert.equal(await outcomeOf(text, '/pct%25/x'), '403', mode)
    assert.equal(await outcomeOf(text, '/pct/x'), 'b.test /pct/x', mode)
  }
})
