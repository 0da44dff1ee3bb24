import fc from 'fast-check'

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

/** A file of users: `al`, `bob` and `sha`, each with the password `pw`, and each with another kind of hash. */
export const USERS = new URL('users.htpasswd', import.meta.url).pathname

const requirement = pick(
  'Require all granted',
  'Require all granted',
  'Require all denied',
  'Require ip 127.0.0.1',
  'Require ip 10.0.0.0/8 192.168',
  'Require local',
  'Require env ROBOT',
  'Require env OWN',
  'Require method GET HEAD',
  'Require method POST',
  `Require expr "%{HTTP:X-B} =~ /^a/ || %{REQUEST_URI} == '/a/b'"`,
  `Require expr %{REQUEST_METHOD} -in { 'GET', 'PUT' }`,
  'Require valid-user',
  'Require user bob al',
)

const negated = requirement
  .filter(line => !/ (?:valid-user|user) /.test(`${line} `))
  .map(line => line.replace('Require', 'Require not'))

/** Lines of Require that httpd accepts together. */
const requirements: fc.Arbitrary<string> = fc.letrec<{ list: string; one: string }>(tie => ({
  one: fc.oneof(
    { weight: 5, arbitrary: requirement },
    { weight: 1, arbitrary: fc.array(tie('one'), { minLength: 1, maxLength: 2 }).map(list => container('Any', list)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.array(tie('one'), { minLength: 1, maxLength: 2 }), fc.array(negated, { maxLength: 1 }))
        .map(([list, not]) => container('All', [...list, ...not])),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          requirement,
          requirement.filter(line => !line.includes('user')),
        )
        .map(([line, no]) => container('All', [line, container('None', [no])])),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(pick('GET', 'POST', 'GET PUT'), requirement)
        .map(([methods, line]) => `<Limit ${methods}>\n${line}\n</Limit>`),
    },
    { weight: 1, arbitrary: requirement.map(line => `<LimitExcept GET>\n${line}\n</LimitExcept>`) },
  ),
  list: fc.array(tie('one'), { minLength: 1, maxLength: 2 }).map(list => list.join('\n')),
})).list

function container(kind: 'Any' | 'All' | 'None', lines: readonly string[]): string {
  return `<Require${kind}>\n${lines.join('\n')}\n</Require${kind}>`
}

const AUTH = `AuthType Basic\nAuthName "A realm"\nAuthUserFile "${USERS}"`

const hosts = fc
  .array(
    pick(
      'Order allow,deny',
      'Order deny,allow',
      'Order mutual-failure',
      'Allow from all',
      'Deny from all',
      'Allow from 127.0.0.1',
      'Deny from 127',
      'Allow from env=ROBOT',
      'Deny from env=!ROBOT',
      'Satisfy any',
      'Satisfy all',
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map(lines => lines.join('\n'))

const AUTH_REQUIRED = `${AUTH}\nRequire valid-user\n`

/** The access control of a section. */
export const access: fc.Arbitrary<string> = fc
  .tuple(
    pick('', AUTH, AUTH),
    requirements,
    fc.option(hosts, { freq: 3 }),
    pick('', '', '', 'AllowMethods GET POST'),
    pick('', '', 'SetEnvIf Request_URI b$ OWN'),
  )
  .map(parts => parts.filter(part => part !== null && part !== '').join('\n'))

/** Redirects that may occur in a server and in a section. */
export const redirect = pick(
  'Redirect /a http://other.test/x',
  'Redirect permanent /a/b /y',
  'Redirect gone /b',
  'RedirectMatch 303 ^/a/(.*)$ http://other.test/$1?z',
  'RedirectMatch 404 b$',
  'RedirectTemp /a.b/ http://other.test/dot/',
  'RedirectPermanent /~u https://other.test',
)

/** Values of header fields that come from the request. */
export const headerLine = pick(
  'RequestHeader set X-Scheme expr=%{REQUEST_SCHEME}',
  'RequestHeader set X-Uri "expr=%{REQUEST_METHOD}-%{REQUEST_URI}"',
  'RequestHeader set X-Addr "%{REMOTE_ADDR}s %{HTTPS}s"',
  'RequestHeader set X-User "%{REMOTE_USER}s"',
  'RequestHeader set X-Not "%{SSL_CLIENT_S_DN}s"',
  `RequestHeader set X-If yes "expr=%{REQUEST_URI} =~ m#b#"`,
  'RequestHeader set X-B early early',
  'Header set X-Path "expr=%{REQUEST_URI}"',
  'Header always set X-Always one',
  'Header always add X-Always two',
  'Header add X-Z one',
  'Header append X-Z two',
)

/** Rules in a section. */
export const sectionRules = fc
  .tuple(
    pick(
      '',
      'RewriteCond %{HTTP:X-B} ^a [NC]\n',
      'RewriteCond %{REQUEST_URI} b\n',
      'RewriteCond /etc/passwd -f\n',
      'RewriteCond /etc%{REQUEST_URI} !-d\n',
      'RewriteCond %{HTTP:Upgrade} websocket [NC]\n',
    ),
    pick('/a/(.*)', '.*', 'b', '(.*)/(.*)', '^/var/www/html/(.*)'),
    pick(
      ['http://127.0.0.1:21061/in/$1', '[P]'],
      ['http://127.0.0.1:21061/in/$1', '[P,NE]'],
      ['ws://127.0.0.1:21060/in', '[P,QSA]'],
      ['-', '[F]'],
      ['-', '[G]'],
      ['http://other.test/$1', '[R=301]'],
      ['-', '[E=ROBOT:$1]'],
      ['-', '[E=ROBOT:%{LA-U:REMOTE_USER}]'],
      ['/other?k=%1', '[R]'],
    ),
  )
  .map(([condition, pattern, [to, flags]]) => `RewriteEngine On\n${condition}RewriteRule ${pattern} ${to} ${flags}`)

/** `<If>` with what may be in it. */
export const ifSection = fc
  .tuple(
    pick(
      "%{HTTP:X-B} == 'abc'",
      '-n %{HTTP:X-A}',
      '%{REQUEST_URI} =~ m#^/a#',
      "%{QUERY_STRING} == 'q=1' && %{REQUEST_METHOD} == 'GET'",
      '!(%{REQUEST_URI} =~ /b$/)',
    ),
    fc.array(
      fc.oneof(
        headerLine.filter(line => !line.includes('early')),
        redirect,
        pick('Require all denied', 'Require all granted'),
        sectionRules,
      ),
      { minLength: 1, maxLength: 2 },
    ),
    fc.option(pick('RequestHeader set X-Else yes', 'Require all denied'), { freq: 3 }),
  )
  .map(([test, lines, otherwise]) =>
    [`<If "${test}">`, ...lines, '</If>', ...(otherwise === null ? [] : ['<Else>', otherwise, '</Else>'])].join('\n'),
  )

/** A `<Proxy>` with what may be in it. */
export const proxySection = fc
  .tuple(
    pick('*', 'http:', 'http://127.0.0.1:21060', 'ws://127.0.0.1:21060', 'http://127.0.0.1:21060/a*'),
    fc.oneof(
      pick('Require all denied', 'Require env ROBOT'),
      pick('RequestHeader set X-Proxy yes', 'RequestHeader append X-A proxy', 'Header always set X-Always proxy'),
      sectionRules,
    ),
    pick('', '', AUTH_REQUIRED),
  )
  .map(([url, line, auth]) => `<Proxy "${url}">\n${auth}${line}\n</Proxy>`)

/** Lines of a server that decide which requests pass, and variables. */
export const limitLine = pick(
  'TraceEnable off',
  'UseCanonicalName On',
  'BrowserMatchNoCase ^bot ROBOT',
  `SetEnvIfExpr "%{HTTP:X-B} =~ /^(a)/" ROBOT=$1`,
  'BrowserMatch evil no-proxy',
  'Options -FollowSymLinks',
)
