import fc from 'fast-check'
import type { Row } from './compare.ts'
import { access, headerLine, ifSection, limitLine, proxySection, redirect, sectionRules } from './generate-sections.ts'
import { behaving, get } from './rows.ts'

const U = 'http://127.0.0.1:21060'
const V = 'http://127.0.0.1:21061'

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const SEGMENTS = ['a', 'b', 'ab', 'A', 'a.b', '~u', 'p:x', 'a b', 'x-y', '(z)', 'q+', 'é']

/** A path in a configuration. */
const path = fc
  .tuple(
    fc.array(fc.tuple(pick('/', '/', '/', '/', '//'), pick(...SEGMENTS)), { minLength: 1, maxLength: 3 }),
    pick('', '', '/'),
  )
  .map(([parts, end]) => parts.map(part => part.join('')).join('') + end)

const anyPath = fc.oneof({ weight: 8, arbitrary: path }, { weight: 1, arbitrary: fc.constant('/') })

const target = fc
  .tuple(pick(U, V, 'ws://127.0.0.1:21060', 'ws://127.0.0.1:21061'), fc.oneof(path, path, pick('', '/')))
  .map(([origin, rest]) => origin + rest)

const quoted = (text: string): string => `"${text}"`

const PATTERNS: readonly (readonly [pattern: string, substitution: string])[] = [
  ['^/a/(.*)$', '/m/$1'],
  ['^/(a|b)(/.*)?$', '/n$2'],
  ['b', ''],
  ['^/([^/]+)/([^/]+)', '/$2/$1'],
  ['(?i)^/ab?', '/i$0'],
  ['^/(.*?)/?$', '/t/$1'],
  ['\\.b(/|$)', '/dot'],
  ['[[:upper:]]', '/up'],
]

const parameter = pick(
  '',
  '',
  '',
  '',
  ' nocanon',
  ' timeout=9',
  ' max=9 retry=0',
  ' upgrade=websocket',
  ' upgrade=chat',
)

const passLine = fc
  .tuple(anyPath, fc.oneof({ weight: 5, arbitrary: target }, fc.constant('!')), parameter)
  .map(
    ([from, to, more]) =>
      `ProxyPass ${quoted(from)} ${quoted(to)}${to === '!' || (more === ' nocanon' && /[ é]/.test(to)) ? '' : more}`,
  )

const matchLine = fc
  .tuple(pick(...PATTERNS), pick(U, V, 'ws://127.0.0.1:21060'), pick(false, false, false, true))
  .map(([[pattern, substitution], origin, excluded]) =>
    excluded
      ? `ProxyPassMatch ${quoted(pattern)} !`
      : `ProxyPassMatch ${quoted(pattern)} ${quoted(origin + substitution)}`,
  )

/** A line that may occur in a server and in a section. */
const settingLine = pick(
  'ProxyPreserveHost On',
  'ProxyPreserveHost Off',
  'ProxyAddHeaders Off',
  'RequestHeader set X-A one',
  'RequestHeader append X-A two',
  'RequestHeader merge X-A one',
  'RequestHeader unset X-B',
  'RequestHeader setifempty X-B none',
  'RequestHeader edit* X-B "([a-z])" "<$1>"',
  'RequestHeader set X-C "%{ROBOT}e" env=ROBOT',
  'RequestHeader unset X-Forwarded-For',
  'RequestHeader set X-Forwarded-Host h',
  'Header set X-Z z',
  'Header always append X-Z y',
  'Header unset X-Hop',
)

const serverLine = fc.oneof(
  settingLine,
  headerLine,
  limitLine,
  redirect,
  pick(
    'MergeSlashes Off',
    'AllowEncodedSlashes On',
    'AllowEncodedSlashes NoDecode',
    'ProxyVia On',
    'ProxyVia Block',
    'ProxyMaxForwards 9',
    'SetEnvIfNoCase X-B "^(a)" ROBOT=$1',
    'SetEnvIf Request_URI "b$" no-proxy',
  ),
)

const section = fc
  .tuple(
    anyPath,
    pick('none', 'none', 'pass', 'pass', 'not', 'not', 'match', 'pattern', 'glob'),
    target,
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: settingLine },
        { weight: 2, arbitrary: headerLine.filter(line => !line.includes('early')) },
        { weight: 1, arbitrary: redirect },
        { weight: 1, arbitrary: sectionRules },
        { weight: 1, arbitrary: ifSection },
      ),
      { maxLength: 3 },
    ),
    fc.option(access, { freq: 2 }),
  )
  .map(([where, kind, to, settings, guarded]) => {
    const lines = guarded === null ? settings : [guarded, ...settings]
    const passing: Record<string, string> = {
      pass: `ProxyPass ${quoted(to)}`,
      not: 'ProxyPass !',
      pattern: to.length % 2 === 0 ? 'ProxyPass !' : `ProxyPassMatch ${quoted(to)}`,
      glob: `ProxyPass ${quoted(to)}`,
    }
    const inside = passing[kind] === undefined ? [] : [passing[kind]]
    const [open, close] =
      kind === 'match' || kind === 'pattern'
        ? [`<LocationMatch "b(/|$)">`, '</LocationMatch>']
        : [`<Location ${quoted(kind === 'glob' ? '/*/' : where)}>`, '</Location>']
    return [open, ...inside, ...lines, close].join('\n')
  })

const rewriteCondition = pick(
  '',
  '',
  'RewriteCond %{HTTP:X-B} ^a [NC]\n',
  'RewriteCond %{REQUEST_METHOD} =GET\n',
  'RewriteCond %{HTTP:Upgrade} websocket [NC]\n',
  'RewriteCond %{REQUEST_URI} "(.)$"\nRewriteCond %{HTTP:X-B} ^a [NC,OR]\nRewriteCond %1 [/a-m]\n',
  'RewriteCond /etc/passwd -s\nRewriteCond /etc%{REQUEST_URI} !-f\n',
  'RewriteCond %{QUERY_STRING} !b\nRewriteCond $1-%{HTTP:Upgrade} -w\n',
)

/** A rule that other rules follow: its substitution is a path, or nothing. */
const rewriteStep = fc
  .tuple(
    rewriteCondition,
    pick(...PATTERNS),
    pick('-', '/s$0', '/b/$1', '/x-y/$1?k=%1', '/a.b?', '//d$1', '/q+%{REQUEST_URI}', '$1'),
    pick(
      '',
      ' [C]',
      ' [S=1]',
      ' [PT]',
      ' [L]',
      ' [QSA]',
      ' [QSD,PT]',
      ' [N=3]',
      ' [E=V:$1]',
      ' [B,PT]',
      ' [G]',
      ' [R=307]',
    ),
  )
  .map(
    ([condition, [pattern], substitution, flags]) =>
      `${condition}RewriteRule ${quoted(pattern)} ${quoted(substitution)}${flags}`,
  )

const rewriteEnd = fc
  .tuple(
    rewriteCondition,
    pick(...PATTERNS),
    pick(U, V, 'ws://127.0.0.1:21060'),
    pick('[P]', '[P]', '[P,QSA]', '[P,NE]', '[P,B]'),
  )
  .map(
    ([condition, [pattern, substitution], origin, flags]) =>
      `${condition}RewriteRule ${quoted(pattern)} ${quoted(origin + substitution.replace(/^$/, '/r'))} ${flags}`,
  )

const rewrite = fc
  .tuple(fc.array(rewriteStep, { maxLength: 3 }), fc.option(rewriteEnd, { freq: 4 }))
  .filter(([steps, end]) => steps.length > 0 || end !== null)
  .map(([steps, end]) => ['RewriteEngine On', ...steps, ...(end === null ? [] : [end])].join('\n'))

const configuration = fc
  .tuple(
    fc.array(serverLine, { maxLength: 3 }),
    fc.array(fc.oneof({ weight: 4, arbitrary: passLine }, { weight: 1, arbitrary: matchLine }), {
      minLength: 1,
      maxLength: 4,
    }),
    fc.array(section, { maxLength: 2 }),
    fc.option(rewrite, { freq: 2 }),
    fc.option(ifSection, { freq: 4 }),
    fc.option(proxySection, { freq: 6 }),
    fc.boolean(),
  )
  .map(([settings, passes, sections, rules, condition, proxy, first]) =>
    [
      ...settings,
      ...(first ? [...sections, ...passes] : [...passes, ...sections]),
      ...(rules === null ? [] : [rules]),
      ...(condition === null ? [] : [condition]),
      ...(proxy === null ? [] : [proxy]),
    ].join('\n'),
  )

/** A segment in a spelling that a client may use. */
const spelling = fc
  .tuple(
    pick(...SEGMENTS, '%25', '%3B', ';p=1', 'x%20y', '[x]', '..', '.', '%2e', 'b%0A', '%c3%a9', 'a%2Fb', '%41'),
    pick(0, 0, 0, 1),
  )
  .map(([segment, encoded]) => {
    const safe = segment.replace(/ /g, '%20').replace(/é/g, '%C3%A9')
    return encoded === 1 && /^[a-z]/.test(safe) ? `%${safe.charCodeAt(0).toString(16)}${safe.slice(1)}` : safe
  })

const requestPath = fc
  .tuple(fc.array(fc.tuple(pick('/', '/', '/', '/', '/', '//'), spelling), { maxLength: 4 }), pick('', '', '/'))
  .map(([parts, end]) => parts.map(part => part.join('')).join('') + end || '/')

const WS = 'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13'

const request = fc
  .tuple(
    requestPath,
    pick('', '', '', '?q=1', '?', '?a=%20&b=/../x'),
    pick('GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT'),
    fc.array(
      pick(
        'X-A: own',
        'X-B: abc',
        'X-B: Axe',
        'X-Forwarded-For: 9.9.9.9',
        'Authorization: Basic YWw6cHc=',
        'Authorization: Basic Ym9iOnB3',
        'Authorization: Basic YWw6bm8=',
        'User-Agent: Bot/1 evil',
        'Via: 1.0 x',
        `Upgrade: websocket\r\n${WS}`,
        `Upgrade: chat\r\n${WS}`,
      ),
      { maxLength: 2 },
    ),
  )
  .map(([target, query, method, fields]) => {
    const isUpgrade = (field = ''): boolean => field.startsWith('Upgrade')
    const sent = fields.filter((field, i) => i === 0 || !isUpgrade(field) || !isUpgrade(fields[0]))
    const plain = fields.some(isUpgrade) ? 'GET' : method
    if (plain === 'POST' || plain === 'PUT') sent.push('Content-Length: 0')
    return get(target + query, sent).replace(/^GET/, plain)
  })

/** Configurations, each with requests to it. The same seed gives the same rows. */
export function generate(seed: number, configurations: number, requests: number): Row[] {
  const cases = fc.sample(fc.tuple(configuration, fc.array(request, { minLength: requests, maxLength: requests })), {
    seed,
    numRuns: configurations,
  })
  return cases.flatMap(([conf, list], i) =>
    list.map(
      (bytes): Row => ({
        id: `seed ${seed}, configuration ${i}`,
        conf: `# ${i}\n${conf}`,
        request: bytes,
        respond: behaving('K'),
      }),
    ),
  )
}
