import { readFileSync } from 'node:fs'
import type { Respond, Row } from './compare.ts'

const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8')) as T

const ok: Respond = () => ({ bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' })

const get = (target: string, fields: readonly string[] = []): string =>
  `GET ${target} HTTP/1.1\r\n${fields.some(field => /^host:/i.test(field)) ? '' : 'Host: {host}\r\n'}${fields.map(field => `${field}\r\n`).join('')}\r\n`

/** Observed requests for the mapping of paths. */
function mapping(): Row[] {
  const rows = vectors<{ id: string; conf: string; target: string }[]>('mapping')
  return rows.map(({ id, conf, target }) => ({
    id: `mapping ${id}`,
    conf,
    request: get(target.replace('c5.test', '{host}')),
    respond: ok,
  }))
}

interface Reverse {
  reverse: { id: string; conf: string; backendHeader: string }[]
  headers: { id: string; conf: string; request: string[]; target: string }[]
  errorOverride: { id: string; conf: string; backendStatus: string }[]
}

/** Observed requests for header fields, in both directions. */
function headers(): Row[] {
  const { reverse, headers: requests } = vectors<Reverse>('headers-reverse')
  return [
    ...reverse.map(({ id, conf, backendHeader }) => ({
      id: `reverse ${id}`,
      conf,
      request: get('/a/q'),
      respond: (() => ({
        bytes: `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${backendHeader}\r\n\r\nok`,
      })) satisfies Respond,
    })),
    ...requests.map(({ id, conf, request, target }) => ({
      id: `headers ${id}`,
      conf,
      request: get(
        target,
        request.map(field => field.replace(/^(host: *)[\w.]+/i, '$1{host}')),
      ),
      respond: ok,
    })),
  ]
}

const RESPONSES: Record<string, (token: string) => { bytes: string; echo?: boolean; close?: boolean }> = {
  A: token => ({ bytes: switching(token, 'Sec-WebSocket-Accept: abc\r\n'), echo: true }),
  B: () => ({ bytes: switching('other') }),
  D: () => ({ bytes: 'HTTP/1.1 200 OK\r\nX-Hop: 1\r\nContent-Length: 6\r\n\r\nBODY-D' }),
  E: () => ({
    bytes: 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\n426',
  }),
  F: () => ({ bytes: '', close: true }),
  G: () => ({ bytes: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n403' }),
  H: token => ({ bytes: `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${switching(token)}`, echo: true }),
  I: () => ({ bytes: switching('WebSocket'), echo: true }),
  K: token => ({
    bytes: switching(token, 'X-Hop: 1\r\nKeep-Alive: x\r\nSet-Cookie: a=b\r\nLocation: http://127.0.0.1:21060/x\r\n'),
    echo: true,
  }),
  L: token => ({ bytes: switching(token), echo: true }),
  M: token => ({ bytes: `${switching(token)}EARLYDATA`, echo: true }),
  N: () => ({ bytes: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n' }),
}

const switching = (token: string, more = ''): string =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${token}\r\nConnection: Upgrade\r\n${more}\r\n`

/** Responds as the observed backend of this letter. A request without Upgrade gets a plain response. */
const behaving =
  (letter: string): Respond =>
  head => {
    const token = /\r\nupgrade: *([^\r]*)/i.exec(head)?.[1]
    if (token === undefined && letter !== 'G' && letter !== 'F')
      return { bytes: `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nBODY-${letter}` }
    return (RESPONSES[letter] ?? RESPONSES['A'])?.(token ?? '') ?? { bytes: '' }
  }

interface Upgrade {
  id: string
  conf: string
  method: string
  version: string
  reqHeaders: string
  reqBody: string
  backendBehaviour: string
}

/** Observed upgrades. */
function upgrades(): Row[] {
  const rows = [...vectors<Upgrade[]>('upgrade1'), ...vectors<Upgrade[]>('upgrade2')]
  return rows.map(({ id, conf, method, version, reqHeaders, reqBody, backendBehaviour }) => ({
    id: `upgrade ${id} ${backendBehaviour}`,
    conf,
    request: `${method} /${backendBehaviour} ${version}\r\nHost: {host}\r\n${reqHeaders}\r\n${reqBody}`,
    respond: behaving(backendBehaviour),
  }))
}

/** Observed requests for mod_rewrite. */
function rewriting(): Row[] {
  const rows = vectors<{ id: string; conf: string; target: string; headers: string }[]>('rewrite')
  return rows.map(({ id, conf, target, headers: fields }) => ({
    id: `rewrite ${id}`,
    conf: conf.replace('^s4', '^h'),
    request: get(
      target,
      fields.split('\r\n').filter(field => field !== ''),
    ),
    respond: ok,
  }))
}

export const observed: readonly Row[] = [...mapping(), ...headers(), ...upgrades(), ...rewriting()]
export { behaving, get, ok }

const U = 'http://127.0.0.1:21060'
const V = 'http://127.0.0.1:21061'

/** A configuration and its requests: a request target, or a target with fields. */
type Plain = readonly [conf: string, ...requests: (string | readonly [target: string, ...fields: string[]])[]]

const PLAIN: readonly Plain[] = [
  // Every way in which a path and a target are joined.
  [`ProxyPass /a/ ${U}/b`, '/a/x', '/a', '/a/'],
  [`ProxyPass /a ${U}/b/`, '/a', '/a/x', '/a/'],
  [`ProxyPass / ${U}/b`, '/x', '/'],
  [`ProxyPass "/a b" "${U}/c d"`, '/a%20b/x', '/a%20bx'],
  [`ProxyPass /p:x ${U}/q`, '/p:x/1', '/p%3Ax/1', '/px'],
  [`ProxyPass /{x}* ${U}/q`, '/%7Bx%7D*/1', '/x/1'],
  [`ProxyPass /a ${U}/%20x`, '/a', '/a/y'],
  [`ProxyPass /a ${U}/é`, '/a/y'],
  [`ProxyPass a ${U}/b`, '/a', '/'],
  [`MergeSlashes Off\nProxyPass /a ${U}/b`, '/a//x', '//a/x', '/a/x//', '/a///', '/a//../x'],
  [`AllowEncodedSlashes On\nProxyPass /a ${U}/b`, '/a%2Fx', '/a/x%2Fy', '/a/x%2F..%2Fy', '/a/x%252Fy'],
  [`AllowEncodedSlashes NoDecode\nProxyPass /a ${U}/b`, '/a%2Fx', '/a/x%2fy', '/a/x%2F..%2Fy'],
  [`AllowEncodedSlashes On\n<Location /a>\nProxyPass ${U}/b\n</Location>`, '/a/x%2Fy', '/a/x'],
  [
    `AllowEncodedSlashes On\nProxyPass / ${U}/\n<Location /a>\nRequestHeader set X 1\n</Location>`,
    '/a/x%2Fy',
    '/b/x%2Fy',
  ],
  [`ProxyPass /a ${U}/b nocanon`, '/a/x%3By?q=%20', '/a//x', '/a/./x', '/a/%c3%a9', '/%61/x%20y', '/a/../a/z%3b'],
  [`ProxyPass / ${U}/ab nocanon`, '//%3B?a=%20', '/%3B', '/x%20y'],
  [`<Location //l/>\nProxyPass ${U}/never\n</Location>\nProxyPass / ${V}/`, '/l/x', '//l//x'],
  [`ProxyPass / "${U}/a b/" upgrade=websocket`, ['/x', 'Upgrade: websocket', 'Connection: Upgrade']],
  // Patterns.
  [`ProxyPassMatch \\.gif$ ${U}`, '/x/y.gif?q', '/.GIF', '/a%20b.gif'],
  [`ProxyPassMatch ^/q(.*)$ ${U}$1`, '/q', '/q/x', '/qx'],
  [`ProxyPassMatch ^/d/(.+)$ ${U}/$1/$1`, '/d/a', '/d/a%0Ab', '/d/'],
  [`ProxyPassMatch ^/([[:alpha:]]+)/([^/]+?)/?$ ${U}/$2/$1`, '/ab/c', '/ab/c/', '/a1/c'],
  [`ProxyPassMatch ^/(a|b)(c)?$ ${U}/x$1-$2`, '/a', '/bc', '/c'],
  [`ProxyPassMatch ^/no$ !\nProxyPassMatch ^/(?<name>.*)$ ${V}/$1`, '/no', '/no/', '/yes'],
  [`ProxyPass ~ ^/t/(.*)$ ${U}/$1`, '/t/x', '/u'],
  [
    `<LocationMatch "b(/|$)">\nRequestHeader set X 1\n</LocationMatch>\nProxyPassMatch "^/([^/]+)/([^/]+)" ${U}/$2/$1`,
    '/a/b/',
    '/b/c',
    '/a/c',
  ],
  // Sections, and which one wins.
  [`ProxyPass /l ${U}/server\n<Location /l/x>\nProxyPass ${V}/loc\n</Location>`, '/l/a', '/l/x/y', '/l/x', '/l/xy'],
  [`ProxyPass /l/x !\n<Location /l>\nProxyPass ${U}/outer\n</Location>`, '/l/x/y', '/l'],
  [
    `<Location /l/x>\nProxyPass ${U}/inner\n</Location>\n<Location /l>\nProxyPass ${V}/outer\n</Location>`,
    '/l/x/y',
    '/l/z',
  ],
  [`<LocationMatch ^/m/(\\d+)>\nProxyPassMatch ${U}/n/$1\n</LocationMatch>`, '/m/12/x', '/m/x'],
  [`<Location /l>\nProxyPass !\n</Location>\nProxyPass / ${U}/`, '/l/x', '/m'],
  // The ProxyPass of the last section counts alone, even if it does not match.
  [`<Location /a>\nProxyPassMatch ${U}\n</Location>`, '/x/a', '/a/b', '/ab'],
  [
    `<Location />\nProxyPass ${U}/\n</Location>\n<LocationMatch ^/(a+)>\nProxyPass ${V}/x\n</LocationMatch>`,
    '/aa',
    '/b',
  ],
  [
    `<Location />\nProxyPass ${U}/\n</Location>\n<LocationMatch ^/a+$>\nProxyPass !\n</LocationMatch>\nProxyPass /a ${V}/s`,
    '/aa',
    '/a',
    '/b',
  ],
  [`<Location />\nProxyPass ${U}/\n</Location>\n<Location "/*/">\nProxyPass ${V}/x\n</Location>`, '/a/b', '/a'],
  [
    `<Location />\nProxyPass ${U}/\n</Location>\n<Location /a>\nProxyPass !\n</Location>\nRewriteEngine On\nRewriteRule ^/a/(.*) /d/$1 [PT]`,
    '/a/b',
    '/d/b',
  ],
  [
    `<Location />\nProxyPass ${U}/\n</Location>\n<Location /a>\nProxyPass ${V}/q\n</Location>\nRewriteEngine On\nRewriteRule ^/a/(.*) /d/$1 [PT]\nProxyPass /d ${V}/serv`,
    '/a/b',
    '/a',
  ],
  // The settings of a section are those of the path after the rules; those of a redirect, of the path before them.
  [
    `<Location "/*/">\nProxyPass ${U}/ab/\nProxyPreserveHost On\n</Location>\nRewriteEngine On\nRewriteRule b "//d" [PT]`,
    '/a.b/',
    '/a/',
  ],
  [
    `Redirect gone /b\n<Location /b>\nHeader always set X-B 1\n</Location>\n<Location /a>\nHeader always set X-A 1\n</Location>\nRewriteEngine On\nRewriteRule ^/a/(.*) /b/$1?z=1 [PT]\n<If "%{REQUEST_URI} =~ m#^/b#">\nHeader always set X-I i\n</If>\n<If "%{QUERY_STRING} == 'z=1'">\nHeader always set X-Q q\n</If>`,
    '/a/x',
    '/a/x?z=1',
    '/b/x',
  ],
  [
    `<Location />\nRedirect /a http://other.test/\n</Location>\nRewriteEngine On\nRewriteRule ^/(.*) ${U}/$1 [P,NE]`,
    '/a/b%0Ac',
    '/a/b%01c',
    '/a/b',
  ],
  // The file name that the rules of a section see has no runs of slashes. With nocanon, their URL is not canonical.
  [
    `MergeSlashes Off\nRewriteEngine On\nRewriteRule ^/f(.*) /x$1\n<Location />\nRewriteRule (.*)/(.*) ${U}/in/$2 [P]\nRewriteEngine On\n</Location>`,
    '/a//b',
    '/a//',
    '/f//b',
    '/f/b//',
  ],
  [
    `ProxyPass / ${U}/ nocanon\n<Location />\nRewriteEngine On\nRewriteRule (.*)/(.*) ${V}/in/$2/$1 [P]\n</Location>`,
    '/a%78%20y/b',
    '/%5B/c?q=%20',
    '/a%23/d',
  ],
  // Sections that change requests which a line of the server proxies.
  [
    `ProxyPass / ${U}/\n<Location /h>\nProxyPreserveHost On\n</Location>\n<Location /h/off>\nProxyPreserveHost Off\nProxyAddHeaders Off\n</Location>`,
    '/x',
    '/h/x',
    '/h/off/x',
    '/hx',
  ],
  [
    `ProxyPass / ${U}/\n<Location /a>\nRequestHeader set X one\nRequestHeader append L a\n</Location>\n<LocationMatch \\.js$>\nRequestHeader set X two\nRequestHeader append L b\n</LocationMatch>`,
    '/a/x',
    '/a/x.js',
    '/b.js',
    '/b',
    ['/a/x.js', 'L: c', 'X: mine'],
  ],
  // Header fields.
  [`ProxyPass / ${U}/\nProxyVia On`, ['/', 'Via: 1.0 a', 'Via: 1.1 b']],
  [`ProxyPass / ${U}/\nProxyVia Block`, ['/', 'Via: 1.0 a']],
  [`ProxyPass / ${U}/\nProxyAddHeaders Off`, ['/', 'X-Forwarded-For: 9.9.9.9'], '/'],
  [`ProxyPass / ${U}/\nRequestHeader unset X-Forwarded-For`, ['/', 'X-Forwarded-For: 9.9.9.9'], '/'],
  [`ProxyPass / ${U}/\nRequestHeader set X-Forwarded-For 1.2.3.4`, ['/', 'X-Forwarded-For: 9.9.9.9'], '/'],
  [`ProxyPass / ${U}/\nRequestHeader set X-Forwarded-Proto https`, '/', ['/', 'X-Forwarded-Proto: http']],
  [`ProxyPass / ${U}/`, ['/', 'X-Forwarded-Proto: gopher', 'X-Forwarded-Host: a', 'X-Forwarded-Server: b']],
  [`ProxyPass / ${U}/\nRequestHeader set Host other.test`, '/'],
  [
    `ProxyPass / ${U}/\nRequestHeader merge M b\nRequestHeader setifempty S dflt\nRequestHeader edit E "b+" "<$0>"\nRequestHeader edit* F b x\nRequestHeader add A 2\nRequestHeader unset U`,
    '/',
    ['/', 'M: a, b', 'S: own', 'E: abbc', 'F: abab', 'A: 1', 'U: gone'],
    ['/', 'M: a', 'E: ccc', 'F: '],
  ],
  [
    `ProxyPass / ${U}/\nSetEnvIf Upgrade . HTTP_UPGRADE\nSetEnvIfNoCase User-Agent "(bot|crawl)er?" WHO=$1 ROBOT\nSetEnvIf Request_URI "^/no" !ROBOT\nSetEnv FIX 1\nRequestHeader set X-Up yes env=HTTP_UPGRADE\nRequestHeader set X-Who "%{WHO}e %%" env=ROBOT\nRequestHeader set X-Human 1 env=!ROBOT\nRequestHeader set X-Fix %{FIX}e`,
    '/',
    ['/', 'Upgrade: foo'],
    ['/x', 'User-Agent: CrawlER 1'],
    ['/no/x', 'User-Agent: robot'],
  ],
  [`SetEnvIf Request_URI ^/a/no no-proxy\nProxyPass /a ${U}/b`, '/a/no', '/a/yes', '/a/%6eo'],
  [
    `ProxyPass / ${U}/\nProxyMaxForwards 5`,
    '/',
    ['/', 'Max-Forwards: 3'],
    ['/', 'Max-Forwards: 0'],
    ['/', 'Max-Forwards: x'],
  ],
  [
    `ProxyPass / ${U}/\nHeader set X-A 1\nHeader append X-B 2\nHeader always set X-C 3\nHeader unset X-D\nHeader edit X-E a b\nHeader merge X-B z`,
    '/respond',
    '/',
  ],
  [`ProxyPass / ${U}/\nHeader always set X-A 1\nHeader always unset X-D`, '/respond'],
  [`ProxyPass / ${U}/\nHeader echo ^X-Echo`, ['/', 'X-Echo-1: a', 'X-Other: b']],
  [
    `ProxyPass /a ${U}/b\nProxyPassReverse /a ${U}/b\nProxyPassReverse /z /b\nProxyPassReverseCookiePath /b /a\nProxyPassReverseCookieDomain backend.int pub.test`,
    '/a/respond',
    '/a/cookie',
  ],
  [`<Location /a>\nProxyPass ${U}/b\nProxyPassReverse ${U}/b\nProxyPassReverse /b\n</Location>`, '/a/respond'],
  // Paths that are not decoded.
  [
    `ProxyPass "/sp%3Fseg" "${U}/to%3Fseg" mapping=encoded`,
    '/sp%3Fseg/x%20y%2Fz?q',
    '/sp?seg',
    '/sp%3fseg',
    '/sp%3Fseg',
    '/sp%3Fsegx',
    '/sp%3Fseg/%61/./b//c/../d',
    '/sp%3Fseg/%c3%a9',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/m/(.*) ${V}/rewritten/$1 [P]\nProxyPass /m ${U}/mapped mapping=encoded\nProxyPass / ${V}/`,
    '/m/x%20y',
    '/n/x%20y',
    '/%6d/x',
    '/m%2Fx',
  ],
  [
    `ProxyPass /mapping ${U}/servlet mapping=servlet\nProxyPass /s/p ${U}/S mapping=servlet\nProxyPass /end/ ${U}/E/ mapping=servlet\nProxyPass / ${V}/`,
    '/n/../mapping/m',
    '/n/..;/mapping/m',
    '/mapping;x/m',
    '/mapping',
    '/mapping/',
    '/mappingx',
    '/mapping/..;/x',
    '/mapping/a/..;/b%20c?q',
    '/s;x=1/p;y=2/q;z=3',
    '/s/p;y=2',
    '/s/px',
    '/end',
    '/end/x;y',
    '/end;a/x',
  ],
  // Errors of the backend.
  [`ProxyPass / ${U}/\nProxyErrorOverride On`, '/fail-404', '/fail-503', '/fail-401', '/fail-399', '/x'],
  [`ProxyPass / ${U}/\nProxyErrorOverride On 503 404`, '/fail-404', '/fail-503', '/fail-500', '/fail-401'],
  [
    `ProxyPass / ${U}/\nProxyErrorOverride On\n<Location /own>\nProxyErrorOverride Off\n</Location>`,
    '/own/fail-404',
    '/fail-404',
  ],
]

/** Responds according to the path that the backend gets. */
const various: Respond = head => {
  const failure = /fail-(\d+)/.exec(head)?.[1]
  if (failure !== undefined) {
    const challenge = failure === '401' ? 'WWW-Authenticate: Basic realm="x"\r\n' : ''
    return { bytes: `HTTP/1.1 ${failure} No\r\n${challenge}X-Own: 1\r\nContent-Length: 3\r\n\r\nbad` }
  }
  if (head.includes('respond ')) {
    return {
      bytes: `HTTP/1.1 201 Created\r\nContent-Length: 2\r\nLocation: ${U}/b/there\r\nX-A: 0\r\nX-B: 0\r\nX-C: 0\r\nX-D: 0\r\nX-E: aa\r\n\r\nok`,
    }
  }
  if (head.includes('cookie ')) {
    return { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: n=v; Path=/b/x; Domain=backend.int\r\n\r\nok' }
  }
  return { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' }
}

/** Upgrades through configurations that were not observed. */
const WS = 'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13'
const UPGRADES: readonly Plain[] = [
  // The lines of the how-to: RequestHeader does nothing, ProxyPassReverse also changes the 101.
  [
    `ProxyPreserveHost On\nProxyPass /ws/ ws://127.0.0.1:21060/ws/\nProxyPassReverse /ws/ ${U}/\nRequestHeader set X-Real 1`,
    ['/ws/K', 'Upgrade: websocket', WS],
    ['/ws/x', 'Upgrade: websocket', WS],
    '/ws/x',
    '/ws',
  ],
  [
    `ProxyPassMatch ^/(myApp/ws)$ ws://127.0.0.1:21060/$1\nProxyPass / ${V}/`,
    ['/myApp/ws?t=1', 'Upgrade: websocket', WS],
    ['/other', 'Upgrade: websocket', WS],
    '/myApp/ws',
  ],
  [
    `ProxyWebsocketFallbackToProxyHttp Off\nProxyPass /ws ws://127.0.0.1:21060/w\nProxyPass / ${V}/`,
    ['/ws/x', 'Upgrade: websocket', WS],
    '/ws/x',
    ['/ws/x', 'Upgrade: other', WS],
  ],
  [
    'ProxyPass /ws ws://127.0.0.1:21060/w\n<Location /ws/only>\nProxyWebsocketFallbackToProxyHttp Off\n</Location>',
    ['/ws/only/x', 'Upgrade: websocket', WS],
    '/ws/only/x',
    '/ws/x',
  ],
  [`ProxyPass / ${U}/ upgrade=chat/2`, ['/x', 'Upgrade: chat/2', WS], ['/x', 'Upgrade: websocket', WS]],
  [
    '<Proxy ws://127.0.0.1:21060/w>\nProxySet upgrade=chat\n</Proxy>\nProxyPass /ws ws://127.0.0.1:21060/w',
    ['/ws/x', 'Upgrade: chat', WS],
    ['/ws/x', 'Upgrade: websocket', WS],
  ],
  [
    `ProxyPass /a ${U}/s upgrade=chat\nProxyPass /b ${U}/s/t upgrade=websocket`,
    ['/a/x', 'Upgrade: chat', WS],
    ['/b/x', 'Upgrade: chat', WS],
    ['/b/x', 'Upgrade: websocket', WS],
  ],
]

/** mod_rewrite: first rules that end the rewriting, then rules that lead to others. */
const SEED = `RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\nRewriteCond %{HTTP:Connection} upgrade [NC]\nRewriteRule ^/?(.*) "ws://127.0.0.1:21060/$1" [P,L]`
const REWRITES: readonly Plain[] = [
  [`${SEED}\nProxyPass / ${V}/`, ['/a%20b?q=1', 'Upgrade: WebSocket', WS], '/a%20b?q=1', ['/x', 'Upgrade: other', WS]],
  [
    `ProxyPass /a ${V}/\n<Location /a>\nProxyPass ${V}/\n</Location>\nRewriteRule ^/a/(.*) ${U}/rw/$1 [P]\nRewriteEngine On`,
    '/a/x',
    '/a',
    '/a/x%3Fy',
    '/a/é',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP:X-N} -ge5\nRewriteCond %{HTTP:X-M} "!-lt 3" [OR]\nRewriteCond %{REQUEST_METHOD} =POST\nRewriteRule ^/(.*)$ ${U}/n/$1 [P]\nProxyPass / ${V}/`,
    ['/x', 'X-N: 7', 'X-M: 3'],
    ['/x', 'X-N: 7', 'X-M: 2'],
    ['/x', 'X-N: 4', 'X-M: 9'],
    '/x',
  ],
  [
    `RewriteEngine On\nRewriteCond %{THE_REQUEST} ^GET\\ /(a\\\\b|c\\.d)\\ HTTP\nRewriteRule ^ ${U}/space [P]\nRewriteCond %{HTTP:X-A} "=x \\y" [OR]\nRewriteCond %{HTTP:X-A} -eq\nRewriteRule "^/(q|\\\\Q)" '${U}/quo"ted\\ $1' [P] ignored\nRewriteCond %{HTTP:X-A} = [NC]\nRewriteRule "" "" "[E=X:a b,PT]"\nProxyPass / ${V}/`,
    '/c.d',
    '/c%5Cd',
    '/a%5Cb',
    ['/q', 'X-A: x \\y'],
    ['/q', 'X-A: is-eq'],
    ['/q', 'X-A: a=b'],
    ['/%5CQ', 'X-A: -eq'],
    '/q',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP:X-Room} ^([a-z]+)-(\\d+)$\nRewriteRule ^/r$ ${U}/room/%1/%2 [P]\nProxyPass / ${V}/`,
    ['/r?q', 'X-Room: abc-12'],
    ['/r', 'X-Room: ABC-12'],
    '/r',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP:X-S} >aa\nRewriteRule ^ ${U}/more [P]\nRewriteCond %{HTTP:X-S} <=b [NC]\nRewriteRule ^ ${U}/less [P]`,
    ['/', 'X-S: b'],
    ['/', 'X-S: aaa'],
    ['/', 'X-S: ab'],
    '/',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/secret - [F]\nRewriteRule !^/open ${U}/not/$1 [P]\nProxyPass / ${V}/`,
    '/secret/x',
    '/open/x',
    '/other/x',
    '/x%2Fy',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP_HOST} ^H [NC]\nRewriteCond %{QUERY_STRING} (^|&)v=2(&|$)\nRewriteRule ^/(.*) ${U}/v2/$1?k=a [P,QSA]\nProxyPass / ${V}/`,
    '/x?v=2',
    '/x?v=3',
    '/x?a=1&v=2',
  ],
  [
    `RewriteEngine On\nRewriteCond %{REQUEST_URI} ^/s/([a-z]+)/(.*)\nRewriteRule ^ ${U}/p/%1/%2 [P]\nRewriteCond %{QUERY_STRING} ^id=([a-z0-9]+)$\nRewriteRule ^/q$ ${U}/id/%1 [P,QSD]\nRewriteCond %{REQUEST_URI} !^/open\nRewriteRule ^ - [G]\nProxyPass / ${V}/`,
    '/s/ab/c%20d?x=1',
    '/q?id=7a',
    '/open/x',
    '/closed',
    ['/closed', 'Upgrade: websocket', WS],
  ],
  [
    `RewriteEngine On\nRewriteRule ^/d/(.*) ${U}/d/$1? [P]\nRewriteRule ^/n/(.*) ${U}/n/$1?k=1 [P]\nRewriteRule ^/u - [R=503,L]`,
    '/d/x?q=1',
    '/n/x?q=1',
    '/n/x',
    '/u',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/h/ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]\nRewriteRule ^/l/(.*) /to/$1?k=1 [R,L,QSA]\nRewriteRule ^/t/(.*) /to/$1? [R=permanent,L]\nRewriteRule ^/e/(.*) /to/$1#x [R=303,NE,L]\nRewriteRule ^/z/(.*) /to/$1 [R=307,QSD,END]`,
    '/h/a%20b?q=%20',
    '/l/x?q=2',
    '/l/x',
    '/t/x?q=2',
    '/e/y?q=%7B',
    '/z/%C3%A9?q',
    ['/l/x', 'Upgrade: websocket', WS],
  ],
  [
    `ProxyPass /w ${U}/ upgrade=chat\nRewriteEngine On\nRewriteRule ^/r/(.*) ${U}/$1 [P]`,
    ['/r/x', 'Upgrade: chat', WS],
    '/r/a b'.replace(' ', '%20'),
  ],
  // Rules that lead to others.
  [
    `RewriteEngine On\nRewriteRule ^/a/(.*) /b/$1?from=a [QSA]\nRewriteRule ^/b/(.*) ${U}/b/$1 [P]\nProxyPass / ${V}/`,
    '/a/x?q=1',
    '/a/x%20y?',
    '/b/z',
    '/c',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/pt/(.*) /w/$1 [PT]\nRewriteRule ^/file/(.*) /w/$1\nRewriteRule ^/last/(.*) /w/$1 [L]\nRewriteRule ^/same - [PT]\nRewriteRule ^/up/(.*) /%{HTTP:X-To}/$1?k=%{QUERY_STRING}&t [PT]\nProxyPass /w ${U}/x\nProxyPass / ${V}/`,
    '/pt/a%2520b?q',
    '/pt/%C3%A9%3B',
    '/file/a',
    '/last/a',
    '/same/a',
    ['/up/a?b=%20', 'X-To: w'],
    ['/up/a', 'X-To: w//y'],
    ['/pt/a', 'Upgrade: websocket', WS],
  ],
  [
    `RewriteEngine On\nRewriteRule ^/c1/(.*) /c2/$1 [C]\nRewriteRule ^/c2/(.*x) /c3/$1 [C]\nRewriteRule ^/c3/(.*) ${U}/chained/$1 [P]\nRewriteRule ^/c2/(.*) ${U}/broken/$1 [P]\nRewriteRule ^/c3 ${U}/never [P]\nProxyPass / ${V}/`,
    '/c1/ax',
    '/c1/ay',
    '/c2/ax',
    '/c3/z',
    '/d',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP:X-S} 1\nRewriteRule ^ - [S=2]\nRewriteRule ^/(.*) ${U}/one/$1 [P]\nRewriteRule ^ - [F]\nRewriteRule ^/(.*) ${U}/two/$1 [P]`,
    ['/a', 'X-S: 1'],
    '/a',
  ],
  [
    `RewriteEngine On\nRewriteRule ^(.*)_(.*)$ $1-$2 [N=8]\nRewriteRule ^/(.*-.*) ${U}/n/$1 [P]\nProxyPass / ${V}/`,
    '/a_b_c',
    '/abc',
    '/a_b_c_d_e_f_g_h_i_j',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/e/(.*) - [E=SEEN:$1,E=OTHER:%{HTTP:X-A}-$1]\nRewriteCond %{ENV:OTHER} ^q-\nRewriteRule ^/e/ ${U}/env/%{ENV:SEEN}/$0 [P]\nRewriteRule ^/no - [E=no-proxy:1]\nRewriteRule ^/un - [E=!GIVEN]\nSetEnvIf Host . GIVEN=1\nRequestHeader set X-Seen %{SEEN}e env=SEEN\nRequestHeader set X-Given 1 env=GIVEN\nProxyPass / ${V}/`,
    ['/e/ab', 'X-A: q'],
    '/e/ab',
    '/no/x',
    '/un/x',
    '/x',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/b/(.*) ${U}/b?v=$1 [P,B]\nRewriteRule ^/bc/(.*) ${U}/b?v=$1 [P,B=/&]\nRewriteRule ^/bn/(.*) ${U}/b?v=$1 [P,B,BNP]\nRewriteRule ^/be/(.*) ${U}/b?v=$1 [P,B,BNE=/]\nRewriteRule ^/bt/(.*) ${U}/b?v=$1 [P,BCTLS]\nRewriteRule ^/bp/(.*) ${U}/b/$1 [P,B]`,
    '/b/a/b%20c&d',
    '/bc/a/b&d=%C3%A9',
    '/bn/a/b%20c%26d',
    '/be/a/b%20c&d',
    '/bt/a/b%20c&d',
    '/bp/a/b%20c%23d',
    '/b/%C3%A9',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/ne/(.*) ${U}/ne/$1 [P,NE]\nRewriteRule ^/q/(.*) ${U}/q?$1 [P,NE,QSA]\nRewriteRule ^/3f/(.*) ${U}/m/$1 [P,UnsafeAllow3F]\nRewriteRule ^/4f/(.*) /m/$1?x=1 [R,L]\nRewriteRule ^/5f/(.*) /m?$1 [R,L]`,
    '/ne/%C3%A9;a',
    '/ne/a%20b',
    '/q/a=b?c=%20d',
    '/3f/a%3Fb?c',
    '/4f/a%3Fb',
    '/4f/a%23b',
    '/5f/a%3Fb',
  ],
  [
    `RewriteEngine On\nRewriteCond %{HTTP_HOST}:%{HTTP:X-A}$1 ^h[^:]*:one/x [NC]\nRewriteRule ^(/.*) ${U}/conds$1 [P]\nRewriteCond $1 ^(a+)$ [OR]\nRewriteCond $1 ^(b+)$\nRewriteCond %1 ^(.)\nRewriteRule ^/l/(.*) ${U}/l/%1/%0 [P]\nProxyPass / ${V}/`,
    ['/x', 'X-A: one'],
    ['/x', 'X-A: two'],
    '/l/aaa',
    '/l/bbb',
    '/l/c',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/r1/(.*) /moved/$1 [R=301]\nRewriteRule moved/(.*)$ http://other.test/$1?z=1 [R=307,L]\nRewriteRule ^/abs/(.*) http://far.test:81/$1 [L]\nRewriteRule ^/bare/(.*) $1 [PT]\nRewriteRule ^/dbl/(.*) //w/$1 [PT]\nRewriteRule ^/unc/(.*) $1 [PT,UNC]\nRewriteRule ^/qsl/(.*) /w/$1?a?b=c [QSL,PT]\nRewriteRule ^/g(one)? - [G]\nProxyPass /w ${U}/x`,
    '/r1/a?q=1',
    '/abs/a%20b?q=%7B',
    '/bare/w/a',
    '/bare//w/a',
    '/dbl/a',
    '/qsl/a',
    '/gone/x',
    '/%2e%2e/x',
    '/x%zz',
  ],
  [
    `RewriteEngine On\nRewriteRule ^/t/(.*) ${U}/%{TIME_YEAR}-%{SERVER_NAME}-%{REQUEST_FILENAME}-%{IPV6}-%{IS_SUBREQ}-%{SERVER_PORT}-%{HTTPS}-\\$1-%x [P]`,
    '/t/x',
  ],
  [
    `RewriteEngine On
RewriteCond expr "%{HTTP_HOST} =~ m#^H([0-9]+)#i && %{REQUEST_METHOD} == 'GET'"
RewriteRule ^/e/(.*) ${U}/e/%1/$1 [P]
RewriteCond expr "-n req('X-A') && tolower(req('X-A')) in {'one','two'}"
RewriteRule ^/f ${U}/f [P]
RewriteCond expr "! (%{HTTP:X-N} -ge 5 || -z %{QUERY_STRING})"
RewriteRule ^/g ${U}/g [P]
RewriteCond expr "'a' . %{HTTP:X-A} == 'a' . %{HTTP:X-B}"
RewriteRule ^/h ${U}/h [P]
RequestHeader set X-E1 1 "expr=%{QUERY_STRING} =~ /(^|&)k=/"
RequestHeader set X-E2 1 "expr=-T req('X-A') || false"
RequestHeader set X-E3 1 "expr=req('X-A') != 'x' && !(req('X-A') > 'm')"
ProxyPass / ${V}/`,
    '/e/x',
    ['/f', 'X-A: ONE'],
    ['/f', 'X-A: three'],
    '/f',
    ['/g?q', 'X-N: 4'],
    ['/g?q', 'X-N: 5'],
    '/g',
    ['/h', 'X-A: 1', 'X-B: 1'],
    ['/h', 'X-A: 1', 'X-B: 2'],
    '/x?k=1',
    ['/x?ak=1', 'X-A: no'],
    ['/x', 'X-A: zz'],
    ['/x', 'X-A: x'],
  ],
  [
    `RewriteEngine On\nRewriteRule ^/x/(.*)$ ws://127.0.0.1:21060/$1 [P,END]\nRewriteRule ^ - [F]`,
    ['/x/K', 'Upgrade: websocket', WS],
    '/y',
  ],
]

const rowsOf = (kind: string, list: readonly Plain[], respond: Respond): Row[] =>
  list.flatMap(([conf, ...requests], i) =>
    requests.map((request): Row => {
      const [target, ...fields] = typeof request === 'string' ? [request] : request
      return { id: `${kind} ${i + 1}`, conf, request: get(target as string, fields), respond }
    }),
  )

/** Rows of our own choice, for what no observation covers. */
export const own: readonly Row[] = [
  ...rowsOf('own', PLAIN, various),
  ...rowsOf('own upgrade', UPGRADES, behaving('K')),
  ...rowsOf('own rewrite', REWRITES, behaving('K')),
]
