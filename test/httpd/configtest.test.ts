import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { peer } from '../support/peers.ts'
import { configtest, hasApache } from './apache.ts'

const needsApache = peer('apache2', hasApache)

const pass = (parameter: string): string => `ProxyPass /a ws://127.0.0.1:9/ ${parameter}`

/** Lines that httpd refuses. */
const WRONG: readonly string[] = [
  // Syntax.
  '</Location>',
  '<Location /a>',
  '<Location /a>\n</LocationMatch>',
  '<Location /a\n</Location>',
  '<Location>\n</Location>',
  '<Location /a /b>\n</Location>',
  '<Location /a>\n<Location /b>\n</Location>\n</Location>',
  '<LocationMatch "(">\n</LocationMatch>',
  'Define A:B c',
  'Nonsense On',
  '<Nonsense>\n</Nonsense>',
  '<VirtualHost *:80>\n<VirtualHost *:81>\n</VirtualHost>\n</VirtualHost>',
  // Balancers.
  'BalancerMember',
  'BalancerMember balancer://c',
  'BalancerMember balancer://c http://b.test lbset=100',
  'BalancerMember balancer://c http://b.test bogus=1',
  '<Proxy balancer://c>\nBalancerMember http://b.test loadfactor=0\n</Proxy>',
  '<Proxy balancer://c>\nBalancerMember http://b.test status=X\n</Proxy>',
  '<Proxy balancer://c>\nProxySet lbmethod=random\n</Proxy>',
  '<Proxy balancer://c>\nProxySet stickysessionsep=ab\n</Proxy>',
  '<Proxy balancer://c>\nProxySet failonstatus=99\n</Proxy>',
  '<Proxy balancer://c>\nProxySet growth=0\n</Proxy>',
  '<Proxy balancer://c>\nProxySet forcerecovery=1\n</Proxy>',
  '<Proxy balancer://c>\nProxySet lbmethod\n</Proxy>',
  'ProxyPass /a balancer://c/ nofailover=1',
  'ProxyPass /a balancer://c/ timeout=0',
  'ProxyPass /a balancer://c/ timeout=x',
  'ProxyPass /a balancer://c/ maxattempts=-1',
  'ProxyPass /a balancer://c/ scolonpathdelim=1',
  'ProxyPass /a balancer://c/ failontimeout=1',
  'ProxyPass /a balancer://c/ upgrade=websocket',
  'ProxySet balancer://c lbmethod=byrequests',
  // Health checks.
  'BalancerMember balancer://c http://b.test hcmethod=PING',
  'BalancerMember balancer://c http://b.test hcmethod=CPING',
  'BalancerMember balancer://c http://b.test hcmethod=PROVIDER',
  'BalancerMember balancer://c http://b.test hcinterval=x',
  'BalancerMember balancer://c http://b.test hcinterval=99ms',
  'BalancerMember balancer://c http://b.test hcpasses=-1',
  'BalancerMember balancer://c http://b.test hcfails=-1',
  `BalancerMember balancer://c http://b.test hcuri=/${'u'.repeat(63)}`,
  'BalancerMember balancer://c http://b.test hcexpr=none',
  'BalancerMember balancer://c http://b.test hctemplate=none',
  'ProxyPass /a http://b.test/ hcmethod=PING',
  'ProxyPass /a http://b.test/ hctemplate=none',
  'ProxyHCTemplate',
  'ProxyHCTemplate t hcmethod',
  'ProxyHCTemplate t hcmethod=PING',
  'ProxyHCTemplate t hcinterval=0',
  'ProxyHCTemplate t timeout=5',
  'ProxyHCTemplate t hcexpr=none',
  'ProxyHCTemplate t hctemplate=none',
  'ProxyHCTemplate t\n<VirtualHost *>\nBalancerMember balancer://c http://b.test hctemplate=t\n</VirtualHost>',
  'ProxyHCExpr',
  'ProxyHCExpr e',
  'ProxyHCExpr e {true} more',
  `ProxyHCExpr ${'e'.repeat(16)} {true}`,
  'ProxyHCTPsize',
  'ProxyHCTPsize -1',
  '<VirtualHost *>\nProxyHCTPsize 1\n</VirtualHost>',
  // ProxyPass and its parameters.
  'ProxyPass /a',
  'ProxyPass /a b.test',
  'ProxyPass /a /b',
  pass('bogus'),
  pass('bogus=1'),
  pass('retry=-1'),
  pass('ttl=0'),
  pass('min=-1'),
  pass('max=-1'),
  pass('smax=-1'),
  pass('acquire=x'),
  pass('acquire=0'),
  pass('acquire=5x'),
  pass('timeout=0'),
  pass('timeout=x'),
  pass('iobuffersize=511'),
  pass('receivebuffersize=1'),
  pass('keepalive=yes'),
  pass('disablereuse=1'),
  pass('enablereuse=1'),
  pass('addressttl=-2'),
  pass(`route=${'r'.repeat(64)}`),
  pass(`redirect=${'r'.repeat(64)}`),
  pass('status=X'),
  pass('flushpackets=maybe'),
  pass('flushwait=1001'),
  pass('ping=-1'),
  pass('ping=0'),
  pass('lbset=100'),
  pass('loadfactor=0'),
  pass('loadfactor=101'),
  pass('connectiontimeout=1.5'),
  pass('connectiontimeout=0'),
  pass('connectiontimeout=2m'),
  pass(`upgrade=${'u'.repeat(16)}`),
  pass('responsefieldsize=-1'),
  pass(`secret=${'s'.repeat(64)}`),
  pass('mapping=other'),
  'ProxyPassMatch ~ ^/a ws://b.test/',
  'ProxyPassMatch ( ws://b.test/',
  'ProxyPass /a unix:/s|',
  '<Location /a>\nProxyPass /b ws://b.test/\n</Location>',
  'ProxyPassReverse /a',
  '<Location /a>\nProxyPassReverse /a http://b.test/\n</Location>',
  'ProxyPassReverseCookiePath /a',
  '<Proxy ws://b.test/>\nProxySet timeout=0\n</Proxy>',
  '<Proxy ws://b.test/>\nProxySet timeout\n</Proxy>',
  // Switches and numbers.
  'ProxyPreserveHost maybe',
  'ProxyAddHeaders 1',
  'ProxyWebsocketFallbackToProxyHttp yes',
  'MergeSlashes 1',
  'AllowEncodedSlashes maybe',
  'ProxyTimeout 0',
  'ProxyTimeout',
  'ProxyVia maybe',
  'ProxyBadHeader maybe',
  'ProxyErrorOverride maybe',
  'ProxyErrorOverride 500',
  'ProxyErrorOverride On x',
  'ProxyErrorOverride On 200',
  'ProxyErrorOverride Off 500',
  'ServerName a.test:0',
  'ServerName *.test',
  'ServerAlias a.test',
  '<Location /a>\nProxyTimeout 5\n</Location>',
  '<Location /a>\nProxyVia On\n</Location>',
  // Fields and variables.
  'RequestHeader',
  'RequestHeader put X 1',
  'RequestHeader set X',
  'RequestHeader set X 1 env=',
  'RequestHeader set X 1 maybe',
  'RequestHeader set X 1 env=A more',
  'RequestHeader edit X a',
  'RequestHeader edit X ( b',
  'RequestHeader echo X',
  'Header set X %Q',
  'Header unset X a b',
  'SetEnvIf',
  'SetEnvIf Host',
  'SetEnvIf Host x',
  'SetEnvIf Host ( A',
  'RewriteEngine maybe',
  'RewriteEngine On\nRewriteRule ^a',
  'RewriteEngine On\nRewriteRule ( -',
  'RewriteEngine On\nRewriteRule ^a - [Q]',
  'RewriteEngine On\nRewriteRule ^a - [P',
  'RewriteEngine On\nRewriteRule ^a - [R=418]',
  'RewriteEngine On\nRewriteRule ^a - [R=509]',
  'RewriteEngine On\nRewriteCond %{HTTP_HOST}',
  'RewriteEngine On\nRewriteCond %{HTTP_HOST} (',
  'RewriteEngine On\nRewriteCond %{HTTP_HOST} a [Q]',
]

/** Lines that httpd accepts, and so do we. */
const RIGHT: readonly string[] = [
  pass('timeout=5'),
  pass('connectiontimeout=500ms timeout=5s retry=0 keepalive=On upgrade=chat/1'),
  pass('acquire=3 ping=2min addressttl=60 flushpackets=auto flushwait=0'),
  pass('addressttl=1h'),
  pass('max=20 smax=5 min=1 ttl=60 disablereuse=On'),
  'ProxyTimeout 300ms',
  'Timeout 30',
  'ProxyVia FULL',
  'ProxyPassMatch "^/a[[:digit:]]+(?<n>x)?$" ws://b.test/$1',
  '<Location "/a">\nProxyPass "ws://b.test/"\nProxyPreserveHost On\n</Location>',
  '<VirtualHost *:80>\nServerName a.test\nServerAlias b.test *.c.test\nProxyPass / ws://b.test/\n</VirtualHost>',
  '<IfVersion >= 2.4.47>\nProxyPass / ws://b.test/\n</IfVersion>',
  'BalancerMember balancer://c http://b.test hcmethod=get hcinterval=100ms hcpasses=0 hcfails=2 hcuri=/up',
  'BalancerMember balancer://c http://b.test hcmethod=None hcinterval=1h',
  `ProxyHCExpr Up {%{REQUEST_STATUS} =~ /^[23]/}
ProxyHCExpr quoted "hc('body') !~ /maintenance/ && resp('x') == '}'"
ProxyHCExpr nested {%{REQUEST_STATUS} -in { '200', '204' }}
ProxyHCTemplate T hcmethod=HEAD hcinterval=5 hcexpr=uP
<Proxy balancer://c>
ProxyHCTemplate U hctemplate=t hcpasses=2
BalancerMember http://b.test/ hctemplate=u hcexpr=QUOTED
BalancerMember http://d.test/ hctemplate=T hcexpr=nested
</Proxy>
ProxyHCTPsize 4`,
  'ProxyPass /a http://b.test/ hcmethod=TCP',
  'RequestHeader edit* X "(a)b" "$1%%" env=!Y',
  'Header always merge X "a b" env=Y',
]

for (const [i, text] of WRONG.entries()) {
  test(`refuses a line as httpd does (${i + 1}): ${text.replaceAll('\n', ' / ').slice(0, 60)}`, needsApache, () => {
    const theirs = configtest(text)
    assert.ok(theirs, 'httpd accepts it')
    const error = compileHttpdConf({ text }).diagnostics.find(({ severity }) => severity === 'error')
    assert.ok(error, `httpd: ${theirs}`)
    assert.ok(error.httpd !== undefined && theirs.includes(error.httpd), `httpd: ${theirs}\nours: ${error.httpd}`)
  })
}

for (const [i, text] of RIGHT.entries()) {
  test(`accepts a line as httpd does (${i + 1}): ${text.replaceAll('\n', ' / ').slice(0, 60)}`, needsApache, () => {
    assert.equal(configtest(text), undefined)
    const errors = compileHttpdConf({ text }).diagnostics.filter(({ severity }) => severity === 'error')
    assert.deepEqual(errors, [])
  })
}
