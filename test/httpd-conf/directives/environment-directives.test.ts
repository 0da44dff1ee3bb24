import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnosticsOf, messagesOf, sentField } from '../support.ts'

const PASS = 'ProxyPass / http://b.test/'

const wrong: [line: string, httpd: string][] = [
  ['SetEnvIf', 'Missing header-field name for SetEnvIf'],
  ['SetEnvIfNoCase Host', 'Missing regular expression for SetEnvIfNoCase'],
  ['SetEnvIf Host .', 'Missing envariable expression for SetEnvIf'],
  ['SetEnvIf Host ( A', 'SetEnvIf regex could not be compiled.'],
  ['SetEnvIf ( . A', 'Header name regex could not be compiled.'],
  ['SetEnvIfExpr "true"', 'Missing envariable expression for SetEnvIfExpr'],
  ['BrowserMatch', 'Missing regular expression for BrowserMatch'],
  ['SetEnv', 'SetEnv takes 1-2 arguments, an environment variable name and optional value to pass to CGI'],
]

test('refuses a wrong line with the text of httpd', () => {
  for (const [line, httpd] of wrong) assert.equal(diagnosticsOf(`${line}\n${PASS}`, 'error')[0]?.httpd, httpd, line)
})

const reported: [lines: string, severity: 'error' | 'warning' | 'ignored', message: RegExp][] = [
  ['HostnameLookups On\nSetEnvIf Remote_Host . A', 'error', /a DNS lookup for every request/],
  ['SetEnvIfExpr "nope(1)" A', 'error', /nope\(\) is not supported/],
  ['PassEnv WS_TUNNEL_NEVER_SET', 'warning', /was undefined/],
  ['<Location /a>\nSetEnvIf Host . no-proxy\n</Location>', 'warning', /no-proxy has no effect in a section/],
  ['SetEnv force-proxy-request-1.0 1', 'error', /the variable force-proxy-request-1\.0 is not supported/],
  ['SetEnvIf Host . proxy-nokeepalive', 'ignored', /tunes connections that Node manages/],
]

test('reports variables and subjects that it does not support', () => {
  for (const [lines, severity, message] of reported)
    assert.match(messagesOf(`${lines}\n${PASS}`, severity).join(), message, lines)
})

const variables: [lines: string, host: string, value: string][] = [
  ['SetEnvIf Host a V', 'a.test', '1'],
  ['SetEnvIf Host A V', 'a.test', '(null)'],
  ['SetEnvIfNoCase Host A V', 'a.test', '1'],
  ['SetEnvIf Host ^(.)\\. V=<$1>', 'a.test', '<a>'],
  ['SetEnvIf Host a\\. V=$0', 'a.test', '$0'],
  ['SetEnvIf Host . V=1\nSetEnvIf Host . !V', 'a.test', '(null)'],
  ['SetEnvIf Host . V=1\nSetEnvIf Host . V=!', 'a.test', '(null)'],
  ['SetEnvIf Host . U V=2', 'a.test', '2'],
  ['BrowserMatch ^bot V', 'a.test', '1'],
  ['BrowserMatch ^Bot V', 'a.test', '(null)'],
  ['BrowserMatchNoCase ^Bot V', 'a.test', '1'],
  ['SetEnvIf Remote_Host ^127 V', 'a.test', '1'],
  ['SetEnvIfExpr "%{HTTP_HOST} =~ /^(.)/" V=$1', 'a.test', 'a'],
  ['<Location />\nSetEnvIf Request_URI ^/$ V\n</Location>', 'a.test', '1'],
  ['SetEnv V 3', 'a.test', '3'],
  ['SetEnv V 3\nUnsetEnv V', 'a.test', '(null)'],
]

test('sets variables as httpd does', async () => {
  for (const [lines, host, value] of variables) {
    const text = `${lines}\nRequestHeader set X-V %{V}e\n${PASS}`
    assert.equal(await sentField(text, 'X-V', { host, 'user-agent': 'bot' }), value, lines)
  }
})
