import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasApache, startApache } from '../httpd/apache.ts'
import { responding } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { folder, Program } from './program.ts'

const FORMAT = [
  '%h|%l|%u|%r|%>s|%s|%b|%B|%m|%U|%q|%H|%v|%k|%X|%%|\\t',
  '%{X-Ask}i|%{Host}i|%{None}i|%{X-Answer}o|%{Twice}i|%{User-agent}i',
  '%{seen}e|%{fixed}e|%{none}e|%{note}n|%{a}C|%{missing}C|%{c}a|%{c}h|%L',
  '%400,404{X-Ask}i|%!200{X-Ask}i|%200{X-Ask}i|%{%Y-%m-%d %j %U %V %G %e|%a|%B|%D %y %C %p %z %Z %%}t|%{bad}t|%{begin:%H}t',
].join('~')

/** Connections, and the heads that are sent on each of them. */
const CONNECTIONS: readonly (readonly string[])[] = [
  [
    'GET /p/one?x=%20&y="q" HTTP/1.1\r\nHost: h.test\r\nX-Ask: a"b\\c\xe9\x80\tz\r\nTwice: 1\r\nTwice: 2\r\n\r\n',
    'HEAD /p/two HTTP/1.1\r\nHost: h.test\r\nCookie: b=1; a=first; c=2; a=second\r\nUser-Agent: curl/8\r\n\r\n',
    'POST /p/a%20b%41 HTTP/1.1\r\nHost: h.test\r\nContent-Length: 3\r\nX-Tenant: t"1\r\nConnection: close\r\n\r\nabc',
  ],
  ['GET /missing HTTP/1.1\r\nHost: h.test\r\nX-Ask: asked\r\nConnection: close\r\n\r\n'],
  ['GET /p/http10 HTTP/1.0\r\nHost: h.test\r\n\r\n'],
  ['GET http://h.test/p/absolute?z HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n'],
]

async function ask(t: TestContext, port: number): Promise<void> {
  for (const heads of CONNECTIONS) {
    const client = await connectClient(t, port)
    for (const head of heads) await client.send(Buffer.from(head, 'latin1')).whole(head.slice(0, head.indexOf(' ')))
    client.destroy()
  }
}

const lines = (file: string): Promise<string[]> =>
  eventually(async () => {
    const found = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
    assert.equal(found.length, CONNECTIONS.flat().length)
    // The bodies of the error pages differ.
    return found.map(line => line.replace(/\|404\|404\|\d+\|\d+\|/, '|404|404|')).toSorted()
  }, 60_000)

test('writes the lines that a running httpd writes', peer('apache2', hasApache), async t => {
  const { address } = await startBackend(t, responding({ body: 'four', headers: ['X-Answer: "yes"'] }))
  const directory = await mkdtemp(join(tmpdir(), 'ws-tunnel-logs-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const conf = (log: string): string =>
    [
      'SetEnvIf X-Tenant (.+) seen=$1',
      'SetEnv fixed "a b"',
      `CustomLog "${log}" "${FORMAT.replaceAll('"', '\\"')}"`,
      `ProxyPass /p/ http://${address}/`,
    ].join('\n')
  const [theirs, ours] = [join(directory, 'httpd.log'), join(directory, 'ours.log')]
  const httpd = await startApache(new Map([['h.test', conf(theirs)]]))
  t.after(() => httpd.close())
  const at = await folder(t, { 'a.conf': `<VirtualHost *:80>\nServerName h.test\n${conf(ours)}\n</VirtualHost>\n` })
  const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0=80'])
  const [port = 0] = await program.ports()
  await ask(t, httpd.port)
  await ask(t, port)
  assert.deepEqual(await lines(ours), await lines(theirs))
})
