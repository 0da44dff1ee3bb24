import assert from 'node:assert/strict'
import { ServerResponse } from 'node:http'
import { suite, test } from 'node:test'
import type { LogEntry } from '../../packages/cli/src/logs/log-entry.ts'
import { compileFormat, escapeLogItem, NICKNAMES } from '../../packages/cli/src/logs/log-format.ts'
import { requestOf } from '../support/request.ts'

const req = requestOf(['Host: x', 'X-A: 1', 'x-a: 2'], { method: 'POST', url: '/a%20b/%0Ac?q=%20' })
const entry: LogEntry = {
  req,
  res: new ServerResponse(req).setHeader('X-B', ['3', '4']),
  requestLine: 'POST /a%20b/%0Ac?q=%20 HTTP/1.1',
  tls: new Map([['SSL_PROTOCOL', 'TLSv1.3']]),
  timeToFirstByte: 1_000,
  keptAlive: 2,
  errorId: undefined,
  variables: () => new Map([['seen', 'a "b"']]),
  clientAddress: '192.0.2.1',
  clientPort: 5,
  localAddress: '192.0.2.2',
  localPort: 80,
  serverName: 'chat.example',
  startedAt: new Date(2026, 0, 2, 3, 4, 5),
  duration: 1_234_567.6,
  status: 101,
  bytesIn: 10,
  bytesOut: 20,
  bodyBytes: 0,
}

const line = (text: string): unknown => {
  const format = compileFormat(text)
  return typeof format === 'string' ? format : format.format(entry)
}

suite('a LogFormat', () => {
  const rows: [text: string, line: string][] = [
    ['%h %a %A %l %u %v %V %p %{remote}p', '192.0.2.1 192.0.2.1 192.0.2.2 - - chat.example chat.example 80 5'],
    ['"%r" %m %U %q %H', '"POST /a%20b/%0Ac?q=%20 HTTP/1.1" POST /a b/\\nc ?q=%20 HTTP/1.1'],
    ['%s %>s %<s %b %B %I %O', '101 101 101 - 0 10 20'],
    ['%D %T %{s}T %{ms}T %{us}T', '1234568 1 1 1234 1234567'],
    ['%{x-A}i %{nothing}i %{x-b}o %{nothing}o', '1, 2 - 3, 4 -'],
    ['%101,200{X-A}i %!101{X-A}i %!200,304>s %400b', '1, 2 - 101 -'],
    ['100%% \\t|\\n|\\"|\\q', '100% \t|\n|"|\\q'],
    ['%Z', 'Unrecognized LogFormat directive %Z'],
    ['a %', 'Unrecognized LogFormat directive %'],
    ['%{x', 'Unrecognized LogFormat directive %'],
    ['%{SSL_PROTOCOL}x %{SSL_CIPHER}x %k %{min}T %^FB', 'TLSv1.3 - 2 - 1000'],
    ['%{seen}e %{other}e %{n}n %L %S %R %{c}a %{pid}P', `a \\"b\\" - - - 30 proxy-server 192.0.2.1 ${process.pid}`],
    [
      '%{%Y-%m-%dT%H:%M:%S}t %{sec}t %{msec_frac}t %{end:%S}t',
      `2026-01-02T03:04:05 ${entry.startedAt.getTime() / 1_000} 000 06`,
    ],
    ['%{bad}t %{%%}t %f %{x}c', 'bad % - -'],
  ]
  for (const [text, expected] of rows) test(text, () => assert.equal(line(text), expected))

  test('lists the directives that it writes as a hyphen', () => {
    const format = compileFormat('%h %f %{X}^to %{a b}i')
    assert.ok(typeof format !== 'string')
    assert.deepEqual(format.unsupported, ['%f', '%{X}^to', '%{a b}i'])
  })

  test('writes the time as the common log format does', () => {
    assert.match(String(line('%t')), /^\[02\/Jan\/2026:03:04:05 [+-]\d{4}\]$/)
  })

  test('defines combined', () => {
    assert.match(String(line(NICKNAMES['combined'] as string)), /^192\.0\.2\.1 - - \[.*\] "POST .*" 101 - "-" "-"$/)
  })
})

test('escapes everything in a request that could end a line or an item', () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('')
  const escaped = escapeLogItem(all)
  assert.match(escaped, /^[\x20-\x7e]*$/)
  assert.doesNotMatch(escaped, /(?<!\\)"/)
  assert.equal(
    escapeLogItem('a\0\b\n\r\t\v\x1b"\\\x7f\xe9\u20ac'),
    String.raw`a\x00\b\n\r\t\v\x1b\"\\\x7f\xe9\xe2\x82\xac`,
  )
})
