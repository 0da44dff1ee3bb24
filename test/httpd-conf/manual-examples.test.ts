import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messagesOf, outcomeOf } from './support.ts'

const upgrade = { upgrade: 'websocket', connection: 'Upgrade' }

/** The examples of the manual page of mod_proxy_wstunnel, of httpd 2.4 and of the next version, word for word. */
const examples: [lines: string, requests: [url: string, headers: Record<string, string>, outcome: string][]][] = [
  [
    `ProxyPass "/ws2/"  "ws://echo.websocket.org/"
ProxyPass "/wss2/" "wss://echo.websocket.org/"`,
    [
      ['/ws2/x', upgrade, 'echo.websocket.org /x'],
      ['/wss2/x', upgrade, '500'],
      ['/other', upgrade, 'app'],
    ],
  ],
  [
    `ProxyPass /ws2/  ws://echo.websocket.org/
ProxyPass /wss2/ wss://echo.websocket.org/`,
    [['/ws2/', upgrade, 'echo.websocket.org /']],
  ],
  [
    `ProxyPass "/"  "ws://backend.example.com:9080/"
ProxyPass "/"  "http://backend.example.com:9080/"`,
    [
      ['/a', upgrade, 'backend.example.com /a'],
      ['/a', {}, 'backend.example.com /a'],
    ],
  ],
  [
    `ProxyPassMatch ^/(myApp/ws)$  ws://backend.example.com:9080/$1
ProxyPass / http://backend.example.com:9080/`,
    [
      ['/myApp/ws', upgrade, 'backend.example.com /myApp/ws'],
      ['/myApp/other', {}, 'backend.example.com /myApp/other'],
    ],
  ],
  [
    `ProxyPass / http://example.com:9080/
RewriteEngine on
RewriteCond %{HTTP:Upgrade} websocket [NC]
RewriteCond %{HTTP:Connection} upgrade [NC]
RewriteRule ^/?(.*) "ws://example.com:9080/$1" [P,L]`,
    [
      ['/a?b', upgrade, 'example.com /a?b'],
      ['/a', {}, 'example.com /a'],
    ],
  ],
  [
    'ProxyPass "/some/ws/capable/path/" "http://example.com/some/ws/capable/path/" upgrade=websocket',
    [['/some/ws/capable/path/x', upgrade, 'example.com /some/ws/capable/path/x']],
  ],
]

test('compiles the examples of the manual as they are', async () => {
  for (const [lines, requests] of examples) {
    assert.deepEqual(messagesOf(lines, 'error'), [], lines)
    for (const [url, headers, outcome] of requests) assert.equal(await outcomeOf(lines, url, headers), outcome, url)
  }
})
