import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { echo, responding } from '../support/backend.ts'
import { plainRequest, type RawClient } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, connectTunnel, startBackend } from '../support/harness.ts'
import { folder, Program } from './program.ts'

const TIMEOUT = 60_000
const WORKERS = 4

const ROOT = { skip: process.getuid?.() === 0 ? false : 'needs root, to change to another user' }
const LINUX = { skip: existsSync('/proc/self/status') ? false : 'there is no /proc' }

/** Any user that is not root. */
const OTHER_USER = 65_534

async function get(t: TestContext, port: number, path: string): Promise<string> {
  const client = await connectClient(t, port)
  const { statusCode, body } = await client
    .send(plainRequest(path, { host: 'h', headers: ['Connection: close'] }))
    .whole()
  client.destroy()
  return `${statusCode} ${body}`
}

async function say(through: RawClient, text: string): Promise<void> {
  through.send(text)
  assert.equal((await through.readExact(text.length)).toString('latin1'), text)
}

const childrenOf = async (pid: number): Promise<number[]> =>
  (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean).map(Number)

const uidsOf = async (pid: number): Promise<string> =>
  /^Uid:\t(.*)\n(?:.*\n)*?Gid:\t(.*)\n(?:.*\n)*?Groups:\t(.*)$/m
    .exec(await readFile(`/proc/${pid}/status`, 'utf8'))
    ?.slice(1)
    .join('|') ?? ''

const lineCount = async (file: string): Promise<number> => (await readFile(file, 'utf8')).split('\n').length - 1

suite('ws-tunnel run --workers', { concurrency: 1 }, () => {
  test('serves with several processes, and each request and tunnel has one line, on standard output and in files', async t => {
    const page = await startBackend(t, responding({ body: 'page' }))
    const { address } = await startBackend(t, echo())
    const at = await folder(t, {
      'a.conf': [
        `CustomLog /dev/stdout "%P %U ${'x'.repeat(9_000)}"`,
        `CustomLog access.log "%P %U ${'x'.repeat(9_000)}"`,
        `ProxyPass /ws/ ws://${address}/`,
        `ProxyPass / http://${page.address}/`,
      ].join('\n'),
    })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--workers', `${WORKERS}`])
    const [port = 0] = await program.ports(WORKERS)
    const requests = 200
    await Promise.all(Array.from({ length: requests }, (_, i) => get(t, port, `/${i}`)))
    const tunnel = await connectTunnel(t, port, '/ws/')
    await say(tunnel, 'over a worker')
    tunnel.end()
    await tunnel.closed
    const lines = await program.lines(requests + 1)
    assert.equal(lines.length, requests + 1)
    assert.ok(
      lines.every(line => /^\d+ \/\S+ x{9000}$/.test(line)),
      'whole lines',
    )
    assert.equal(new Set(lines.map(line => line.split(' ')[1])).size, requests + 1)
    await eventually(async () => assert.equal(await lineCount(at('access.log')), requests + 1), TIMEOUT)
    const inFile = (await readFile(at('access.log'), 'utf8')).split('\n').slice(0, -1)
    assert.deepEqual(inFile.toSorted(), lines.toSorted())
  })

  test('reloads without a lost request: new workers serve, and open tunnels keep theirs', async t => {
    const { address } = await startBackend(t, echo())
    const pages = await Promise.all(['old', 'new'].map(name => startBackend(t, responding({ body: name }))))
    const conf = (i: number): string =>
      `CustomLog access.log "%P %>s %U"\nProxyPass /ws/ ws://${address}/\nProxyPass / http://${pages[i]?.address}/\n`
    const at = await folder(t, { 'a.conf': conf(0) })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--workers', '2'])
    const [port = 0] = await program.ports(2)
    const tunnel = await connectTunnel(t, port, '/ws/')
    await say(tunnel, 'before')
    let isRunning = true
    const answers: string[] = []
    const load = (async () => {
      while (isRunning) answers.push(await get(t, port, '/page'))
    })()
    await eventually(() => assert.ok(answers.length > 20), TIMEOUT)
    await writeFile(at('a.conf'), conf(1))
    await rename(at('access.log'), at('access.log.1'))
    program.signal('SIGUSR1')
    await program.prints(/the configuration was reloaded/)
    await eventually(() => assert.ok(answers.slice(-20).every(answer => answer === '200 new')), TIMEOUT)
    isRunning = false
    await load
    assert.deepEqual(new Set(answers), new Set(['200 old', '200 new']))
    await say(tunnel, 'after')
    tunnel.end()
    await tunnel.closed
    const total = async (): Promise<number> =>
      (await lineCount(at('access.log'))) + (await lineCount(at('access.log.1')))
    await eventually(async () => assert.equal(await total(), answers.length + 1), TIMEOUT)
    // The worker of the tunnel has ended with it.
    await eventually(async () => assert.equal((await childrenOf(program.pid)).length, 2), TIMEOUT)

    await writeFile(at('a.conf'), 'ProxyPas\n')
    program.signal('SIGHUP')
    await program.prints(/not reloaded and the old one stays: it has errors/)
    assert.equal(await get(t, port, '/page'), '200 new')
    program.signal('SIGTERM')
    assert.equal(await program.exit(), 0)
  })

  test('drains on SIGTERM, and without a limit on SIGWINCH until SIGTERM sets one', async t => {
    const { address } = await startBackend(t, echo())
    const at = await folder(t, { 'a.conf': `ProxyPass / ws://${address}/\n` })
    for (const signals of [['SIGTERM'], ['SIGWINCH', 'SIGTERM']] as const) {
      const program = new Program(t, [
        'run',
        at('a.conf'),
        '--listen',
        '127.0.0.1:0',
        '--workers',
        `${WORKERS}`,
        '--drain',
        '0.3',
      ])
      const [port = 0] = await program.ports(WORKERS)
      const tunnels = await Promise.all(Array.from({ length: 8 }, () => connectTunnel(t, port)))
      for (const [i, signal] of signals.entries()) {
        program.signal(signal)
        await program.prints(new RegExp(`caught ${signal}, draining`))
        if (i < signals.length - 1) for (const tunnel of tunnels) await say(tunnel, 'still open')
      }
      assert.equal(await program.exit(), 0)
      const lines = program.stdout.split('\n').slice(0, -1)
      assert.equal(lines.length, tunnels.length)
      assert.ok(lines.every(line => / 101 /.test(line)))
    }
  })

  test('replaces a worker that was killed', LINUX, async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, { 'a.conf': `ProxyPass / http://${address}/\n` })
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--workers', '2'])
    const [port = 0] = await program.ports(2)
    const [first = 0] = await childrenOf(program.pid)
    process.kill(first, 'SIGKILL')
    await program.prints(new RegExp(`worker ${first} ended unexpectedly \\(SIGKILL\\) and is replaced`))
    await program.ports(3)
    assert.equal((await childrenOf(program.pid)).length, 2)
    assert.equal(await get(t, port, '/'), '200 page')
  })

  test('exits with 1 if the workers cannot listen', async t => {
    const { port } = await startBackend(t, echo())
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://a/\n' })
    const program = new Program(t, ['run', at('a.conf'), '--listen', `127.0.0.1:${port}`, '--workers', '2'])
    assert.equal(await program.exit(), 1)
    assert.match(program.stderr, /could not serve: .*EADDRINUSE/)
  })

  test('serves as User and Group, and reloads with the keys and logs of root', { ...ROOT }, async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, { 'access.log': '' })
    const conf = `User #65534\nGroup #65534\nPidFile ${at('run.pid')}\nCustomLog access.log "%U"\nProxyPass / http://${address}/\n`
    await writeFile(at('a.conf'), conf)
    await chmod(dirname(at('a.conf')), 0o700)
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
    const [port = 0] = await program.ports()
    const served = async (): Promise<void> => {
      const [worker = 0] = await childrenOf(program.pid)
      assert.match(
        await uidsOf(worker),
        new RegExp(
          `^${[OTHER_USER, OTHER_USER, OTHER_USER, OTHER_USER].join('\\s')}\\|${OTHER_USER}.*\\|${OTHER_USER} $`,
        ),
      )
    }
    await eventually(served, TIMEOUT)
    assert.equal((await readFile(at('run.pid'), 'utf8')).trim(), `${program.pid}`)
    assert.equal(await get(t, port, '/one'), '200 page')
    await eventually(async () => assert.equal(await lineCount(at('access.log')), 1), TIMEOUT)
    await rename(at('access.log'), at('access.log.1'))
    program.signal('SIGHUP')
    await program.prints(/the configuration was reloaded/)
    await eventually(async () => assert.equal((await childrenOf(program.pid)).length, 1), TIMEOUT)
    await eventually(served, TIMEOUT)
    assert.equal(await get(t, port, '/two'), '200 page')
    await eventually(async () => assert.equal(await lineCount(at('access.log')), 1), TIMEOUT)
    program.signal('SIGTERM')
    assert.equal(await program.exit(), 0)
    assert.equal(existsSync(at('run.pid')), false)
  })

  test('refuses a User that does not exist, and root', { ...ROOT }, async t => {
    for (const [user, message] of [
      ['no-such-user', /User: bad user name no-such-user/],
      ['root', /User must not be root/],
    ] as const) {
      const at = await folder(t, { 'a.conf': `User ${user}\nProxyPass / ws://a/\n` })
      const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0'])
      assert.equal(await program.exit(), 1)
      assert.match(program.stderr, message)
    }
  })

  test('serves as any user without root, although the file has User and Group', { ...ROOT }, async t => {
    const { address } = await startBackend(t, responding({ body: 'page' }))
    const at = await folder(t, { 'a.conf': `User www-data\nGroup www-data\nProxyPass / http://${address}/\n` })
    await chmod(dirname(at('a.conf')), 0o755)
    const user = { uid: OTHER_USER, gid: OTHER_USER }
    const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--workers', '4'], 'pipe', user)
    const [port = 0] = await program.ports(4)
    assert.equal(await get(t, port, '/'), '200 page')
    program.signal('SIGTERM')
    assert.equal(await program.exit(), 0)
  })
})
