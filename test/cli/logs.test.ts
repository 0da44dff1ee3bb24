import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { suite, type TestContext, test } from 'node:test'
import { echo, responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { ended, folder, Program } from './program.ts'

const TIMEOUT = 60_000

/** Sends one request and returns the whole response. */
async function get(t: TestContext, port: number, path: string, headers: string[] = []): Promise<string> {
  const client = await connectClient(t, port)
  const { statusCode, body } = await client.send(plainRequest(path, { host: 'h', headers })).whole()
  client.destroy()
  return `${statusCode} ${body}`
}

/** Waits until a file has that many lines. */
const linesOf = (file: string, count: number): Promise<string[]> =>
  eventually(async () => {
    const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
    assert.equal(lines.length, count, lines.join('\n'))
    return lines
  }, TIMEOUT)

suite('the logs of ws-tunnel run', { concurrency: 2 }, () => {
  test('writes every CustomLog to its file, each with its format and its condition', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, {
      'a.conf': [
        'SetEnvIf Request_URI ^/quiet quiet',
        'SetEnvIf X-Tenant (.+) tenant=$1',
        'LogFormat "%U" path',
        'CustomLog all.log path',
        'CustomLog loud.log "%U %{tenant}e" env=!quiet',
        'CustomLog quiet.log "%>s" env=quiet',
        `ProxyPass / http://${address}/`,
      ].join('\n'),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    await get(t, port, '/quiet')
    await get(t, port, '/loud', ['X-Tenant: one'])
    assert.deepEqual(await linesOf(at('all.log'), 2), ['/quiet', '/loud'])
    assert.deepEqual(await linesOf(at('loud.log'), 1), ['/loud one'])
    assert.deepEqual(await linesOf(at('quiet.log'), 1), ['200'])
    assert.equal(program.stdout, '')
  })

  test('opens its files again on SIGUSR1 and on SIGHUP, and SIGUSR1 opens no debugger', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, {
      'a.conf': `CustomLog access.log "%U"\nErrorLog error.log\nProxyPass / http://${address}/\n`,
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const port = await eventually(async () => {
      const found = /listening on http:\S+:(\d+)$/m.exec(await readFile(at('error.log'), 'utf8'))
      assert.ok(found)
      return Number(found[1])
    }, TIMEOUT)
    for (const [i, signal] of (['SIGUSR1', 'SIGHUP'] as const).entries()) {
      await get(t, port, `/before${i}`)
      await linesOf(at('access.log'), 1)
      await rename(at('access.log'), at(`access.log.${i}`))
      await rename(at('error.log'), at(`error.log.${i}`))
      program.signal(signal)
      await eventually(async () => assert.match(await readFile(at('error.log'), 'utf8'), /was reloaded/), TIMEOUT)
      await get(t, port, `/after${i}`)
      assert.deepEqual(await linesOf(at('access.log'), 1), [`/after${i}`])
      await rename(at('access.log'), at(`access.log.after${i}`))
      program.signal(signal)
      await eventually(async () => readFile(at('access.log')), TIMEOUT)
    }
    assert.equal(program.stderr, '', 'Node announces a debugger on standard error')
  })

  test('writes a line for a request that the parser refused, with what is known about it', async t => {
    const at = await folder(t, { 'a.conf': 'CustomLog /dev/stdout "%r|%>s|%m|%b|%I"\nProxyPass /x !\n' })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    const refuse = async (head: string): Promise<number> => {
      const client = await connectClient(t, port)
      return (await client.send(head).whole()).statusCode
    }
    const garbage = 'G\x01T "x" HTTP/1.1\r\n\r\n'
    assert.equal(await refuse(garbage), 400)
    assert.equal(await refuse(`GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`), 431)
    assert.equal(await refuse('GET /y HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n'), 400)
    const [first, second, third] = await program.lines(3)
    assert.equal(first, `G\\x01T \\"x\\" HTTP/1.1|400|-|16|${garbage.length}`)
    assert.match(second ?? '', /^(?:GET \/ HTTP\/1\.1|-)\|431\|-\|/)
    assert.match(third ?? '', /^GET \/y HTTP\/1\.1\|400\|/)
  })

  test('loses lines, and counts them, while the reader of standard output does not read', async t => {
    const at = await folder(t, {
      'a.conf': `CustomLog /dev/stdout "%U ${'x'.repeat(60_000)}"\nProxyPass /x !\n`,
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    program.pauseOutput()
    const requests = 120
    for (let i = 0; i < requests; i++) await get(t, port, `/${i}`)
    program.resumeOutput()
    await program.prints(/ (\d+) lines of standard output were lost/)
    const lost = Number(/ (\d+) lines of standard output were lost/.exec(program.stderr)?.[1])
    const lines = await program.lines(requests - lost)
    assert.ok(lost > 0 && lines.length === requests - lost, `${lost} lost, ${lines.length} written`)
    assert.ok(lines.every(line => /^\/\d+ x{60000}$/.test(line)))
  })

  test('knows the member and the backend that served a request or a tunnel', async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const echoing = await startBackend(t, echo())
    const at = await folder(t, {
      'a.conf': [
        'LogFormat "%U %{BALANCER_NAME}e %{BALANCER_WORKER_NAME}e %{WS_TUNNEL_BACKEND}e" served',
        'CustomLog /dev/stdout served',
        `<Proxy balancer://pages>\nBalancerMember http://${address}\n</Proxy>`,
        `ProxyPass /ws/ ws://${echoing.address}/`,
        'ProxyPass / balancer://pages/',
      ].join('\n'),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    await get(t, port, '/page')
    const tunnel = await connectTunnel(t, port, '/ws/')
    tunnel.end()
    await tunnel.closed
    const lines = await program.lines(2)
    assert.equal(lines[0], `/page balancer://pages http://${address} ${address}`)
    assert.equal(lines[1], `/ws/ - - ${echoing.address}`)
  })

  test('writes JSON lines with --log-format json, and the same id in both logs', async t => {
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://127.0.0.1:1/\n' })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--log-format', 'json'])
    const listening = (): { msg: string }[] =>
      program.stderr
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line))
    const port = await eventually(() => {
      const url = listening().find(({ msg }) => msg.startsWith('listening on'))?.msg
      assert.ok(url)
      return Number(new URL(url.slice('listening on '.length)).port)
    }, TIMEOUT)
    await get(t, port, '/a"b')
    const [line = ''] = await program.lines(1)
    const { time, pid, durationMs, startedAt, client, bytesIn, bytesOut, id, ...rest } = JSON.parse(line)
    assert.deepEqual(rest, {
      level: 30,
      host: JSON.parse(line).host,
      request: 'GET /a"b HTTP/1.1',
      method: 'GET',
      url: '/a"b',
      hostField: 'h',
      status: 503,
      bodyBytes: 24,
      msg: 'request',
    })
    assert.ok(Date.parse(time) >= Date.parse(startedAt) && pid === program.pid && durationMs > 0)
    assert.ok(client === '127.0.0.1' && bytesIn > 0 && bytesOut > 0)
    const error = listening().find(({ msg }) => msg.startsWith('WST_ERR_CONNECT')) as unknown as { id: string }
    assert.equal(error.id, id)
  })

  test('writes ErrorLogFormat as httpd does, and %L connects the two logs', async t => {
    const at = await folder(t, {
      'a.conf': [
        'ErrorLogFormat "[%{cu}t] [%-m:%l] [pid %P] %F: [client\\ %a] %M% ,\\ referer\\ %{Referer}i %L %v %-{X}i"',
        'CustomLog /dev/stdout "%L"',
        'ProxyPass / ws://127.0.0.1:1/',
      ].join('\n'),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--server-name', 'v.example'])
    const [port = 0] = await eventually(() => {
      const found = /listening on http:\S+:(\d+)/.exec(program.stderr)
      assert.ok(found)
      return [Number(found[1])]
    }, TIMEOUT)
    assert.match(
      program.stderr,
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\] \[ws-tunnel:notice\] \[pid \d+\] listening on \S+ \S+ -$/m,
    )
    await get(t, port, '/', ['Referer: r'])
    const [id] = await program.lines(1)
    assert.match(String(id), /^[\w+/]{11}$/)
    await program.prints(
      /\[ws-tunnel:error\] \[pid \d+\] \[client 127\.0\.0\.1:\d+\] WST_ERR_CONNECT: .*, referer r \S{11} \S+ -$/m,
    )
    assert.ok(program.stderr.includes(`referer r ${id} `))
  })

  const refused: [conf: string, message: RegExp][] = [
    ['CustomLog "|/usr/bin/rotatelogs /var/log/a 86400" common', /CustomLog: a log cannot be piped to a program/],
    ['ErrorLog "|/usr/bin/logger"', /ErrorLog: a log cannot be piped to a program/],
    ['ErrorLog syslog:user', /ErrorLog: syslog:user is not supported/],
    ['CustomLog a common "expr=%{REQUEST_STATUS} -ge 400"', /expr= is not supported in CustomLog/],
    ['CustomLog a common sometimes', /error in condition clause/],
    ['ErrorLogFormat "%Q"', /Unrecognized error log format directive %Q/],
  ]
  for (const [line, message] of refused) {
    test(`refuses ${line}`, async t => {
      const at = await folder(t, { 'a.conf': `${line}\nProxyPass / ws://127.0.0.1:1/\n` })
      const { code, stderr } = await ended(t, 'run', at('a.conf'), '--listen', '127.0.0.1:0')
      assert.equal(code, 1)
      assert.match(stderr, message)
    })
  }

  test('exits with 1 if a log cannot be opened', async t => {
    const at = await folder(t, { 'a.conf': 'CustomLog missing/a.log common\nProxyPass / ws://127.0.0.1:1/\n' })
    const { code, stderr } = await ended(t, 'run', at('a.conf'), '--listen', '127.0.0.1:0')
    assert.equal(code, 1)
    assert.match(stderr, /ENOENT.*missing\/a\.log/)
  })
})
