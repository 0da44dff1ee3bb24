import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '@ws-tunnel/core'
import { diagnosticsOf, filesOf, messagesOf, optionsOf } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

/** `al` has bcrypt, `bob` MD5, `sha` SHA-1, each of the password `pw`; `old` has a hash of another kind. */
const files = filesOf({
  '/etc/users': `# users
al:$2y$05$GAfQP7UdgE/7U2IZodGSceMHnA3gvQD6MSbUhDDDyALscBGjlFYW.
bob:$apr1$236oz24N$ARz4cbxz0CHR1leeANo8V.
sha:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=
old:rqXexS6ZhobKA`,
  '/etc/groups': 'staff: bob al\nother: sha',
})

const AUTH = 'AuthType Basic\nAuthName R\nAuthUserFile /etc/users'

const locationOf = (lines: string): string => `<Location /a>\n${lines}\n</Location>\n${PASS}`

/** The status with which a request is refused; 200 if the backend gets it. */
async function statusOf(
  lines: string,
  { user, method = 'GET', remoteAddress = '10.1.2.3' }: { user?: string; method?: string; remoteAddress?: string } = {},
): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${user}:pw`).toString('base64')}`
  const headers = { host: 'h.test', ...(user !== undefined && { authorization }) }
  const options = optionsOf(locationOf(lines), { files })
  const { outcome } = await explain(options, { url: '/a/x', method, headers, remoteAddress })
  return outcome.kind === 'refused' ? outcome.statusCode : 200
}

const rows: [lines: string, status: number, request?: Parameters<typeof statusOf>[1]][] = [
  ['Require all granted', 200],
  ['Require all denied', 403],
  ['Require ip 10', 200],
  ['Require ip 192.168 10.1.0.0/16', 200],
  ['Require ip 10.2', 403],
  ['Require local', 403],
  ['Require local', 200, { remoteAddress: '127.0.0.1' }],
  ['Require local', 200, { remoteAddress: '::1' }],
  ['Require env A', 403],
  ['SetEnvIf Request_URI x$ A\nRequire env A', 200],
  ['Require method POST', 403],
  ['Require method GET', 200, { method: 'HEAD' }],
  [`Require expr "%{REQUEST_URI} == '/a/x'"`, 200],
  [`Require expr "%{REQUEST_URI} == '/a/y'"`, 403],
  ['Require ssl', 403],
  ['SSLRequireSSL', 403],
  ['SSLVerifyClient require', 403],
  ['SSLVerifyClient none', 200],
  ['Require all denied\nRequire ip 10', 200],
  ['<RequireAll>\nRequire all granted\nRequire not ip 10\n</RequireAll>', 403],
  ['<RequireAll>\nRequire all granted\nRequire not ip 11\n</RequireAll>', 200],
  ['<RequireAll>\nRequire all granted\n<RequireNone>\nRequire ip 10\n</RequireNone>\n</RequireAll>', 403],
  ['<RequireAny>\nRequire ip 11\nRequire ip 10\n</RequireAny>', 200],
  ['<Limit POST>\nRequire all denied\n</Limit>', 200],
  ['<Limit POST>\nRequire all denied\n</Limit>', 403, { method: 'POST' }],
  ['<LimitExcept GET>\nRequire all denied\n</LimitExcept>', 200, { method: 'HEAD' }],
  ['AllowMethods POST', 405],
  ['AllowMethods POST reset', 200],
  ['Order deny,allow\nDeny from all\nAllow from 10.1', 200],
  ['Order allow,deny\nAllow from all\nDeny from 10.1', 403],
  ['Order mutual-failure\nAllow from all\nDeny from 11', 200],
  ['Deny from env=!A', 403],
  ['Deny from all\nSatisfy any\nRequire ip 10', 200],
  ['Satisfy any\nRequire all denied', 200],
  [`${AUTH}\nRequire valid-user`, 401],
  [`${AUTH}\nRequire valid-user`, 200, { user: 'al' }],
  [`${AUTH}\nRequire valid-user`, 200, { user: 'bob' }],
  [`${AUTH}\nRequire valid-user`, 200, { user: 'sha' }],
  [`${AUTH}\nRequire valid-user`, 401, { user: 'old' }],
  [`${AUTH}\nRequire valid-user`, 401, { user: 'none' }],
  [`${AUTH}\nRequire user bob`, 401, { user: 'al' }],
  [`${AUTH}\nAuthGroupFile /etc/groups\nRequire group staff`, 200, { user: 'bob' }],
  [`${AUTH}\nAuthGroupFile /etc/groups\nRequire group staff`, 401, { user: 'sha' }],
  [`${AUTH}\nRequire ip 10\nRequire valid-user`, 200],
  [`${AUTH}\n<RequireAll>\nRequire ip 11\nRequire valid-user\n</RequireAll>`, 403, { user: 'al' }],
  [`${AUTH}\nAuthType None\nRequire valid-user`, 500],
  ['Require valid-user', 500],
]

test('lets a request pass as httpd does', async t => {
  for (const [lines, status, request] of rows)
    await t.test(`${lines} ${JSON.stringify(request ?? {})}`, async () =>
      assert.equal(await statusOf(lines, request), status),
    )
})

test('applies the sections that a request is in, the last one first', async () => {
  const text = `<Location />\nRequire all denied\n</Location>\n<Location /open>\nRequire all granted\n</Location>\n${PASS}`
  for (const [url, kind] of [
    ['/open/x', 'http'],
    ['/opened', 'refused'],
    ['/%6Fpen', 'http'],
  ] as const) {
    const { outcome } = await explain(optionsOf(text), { url, headers: { host: 'h' } })
    assert.equal(outcome.kind, kind, url)
  }
})

test('applies <Proxy> and <ProxyMatch> to the URLs that they cover', async () => {
  const sections: [open: string, refused: boolean][] = [
    ['<Proxy *>', true],
    ['<Proxy http://b.test/a*>', true],
    ['<Proxy http://b.test/b>', false],
    ['<ProxyMatch "/a/x$">', true],
    ['<ProxyMatch "^/a">', false],
  ]
  for (const [open, refused] of sections) {
    const close = open.startsWith('<ProxyM') ? '</ProxyMatch>' : '</Proxy>'
    const { outcome } = await explain(optionsOf(`${open}\nRequire all denied\n${close}\n${PASS}`), {
      url: '/a/x',
      headers: { host: 'h' },
    })
    assert.equal(outcome.kind === 'refused', refused, open)
  }
})

const wrong: [lines: string, message: RegExp][] = [
  ['Require ip nope', /ip address 'nope' appears to be invalid/],
  ['Require all maybe', /must be 'granted' or 'denied'/],
  ['Require not ip 10', /negative Require directive has no effect in <RequireAny>/],
  ['<RequireAny>\nRequire not ip 10\nRequire local\n</RequireAny>', /negative Require directive has no effect/],
  ['<RequireAll>\nRequire not ip 10\n</RequireAll>', /only negative authorization directives/],
  ['Require ldap-user x', /ldap-user is not supported/],
  ['Order sometimes', /unknown order/],
  ['Allow all of', /must be followed by 'from'/],
  ['Allow from', /requires at least two arguments/],
  ['AllowMethods', /No method or 'reset' keyword/],
  ['<RequireAll>\n</RequireAll>', /contains no authorization directives/],
  ['Require nope', /Unknown Authz provider: nope/],
  ['Allow from 10.0.0.0/x', /not an address or a network/],
  ['Satisfy some', /Satisfy either 'any' or 'all'/],
  ['AuthType Digest', /Digest is not supported/],
  ['AuthBasicProvider ldap', /the provider ldap is not supported/],
  ['AuthBasicAuthoritative Off', /no other module/],
  ['AuthMerging And', /only Off is supported/],
  ['SSLVerifyClient maybe', /Invalid argument 'maybe'/],
  ['<Limit TRACE>\n</Limit>', /see TraceEnable/],
  ['<Limit GET>\n<Limit POST>\n</Limit>\n</Limit>', /in another one/],
]

test('refuses a wrong line, and one that it does not support', () => {
  for (const [lines, message] of wrong)
    assert.match(messagesOf(locationOf(lines), 'error', { files }).join(), message, lines)
  assert.equal(diagnosticsOf(`Require all granted\n${PASS}`, 'error')[0]?.httpd, 'Require not allowed here')
})

test('warns of a file of users that it cannot read, and of hashes that it does not know', () => {
  assert.match(messagesOf(locationOf('AuthUserFile /none'), 'warning', { files }).join(), /cannot be read/)
  assert.match(messagesOf(locationOf(AUTH), 'warning', { files }).join(), /the hash of old is not supported/)
})

test('refuses mapping= beside access control, because such a line is matched before it', () => {
  const text = `<Location /a>\nRequire local\n</Location>\nProxyPass /a http://b.test/ mapping=encoded`
  assert.match(messagesOf(text, 'error').join(), /mapping= beside access control is not supported/)
})
