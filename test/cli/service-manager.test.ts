import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { responding } from '../support/backend.ts'
import { plainRequest } from '../support/client.ts'
import { eventually } from '../support/gate.ts'
import { connectClient, startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { folder, Program } from './program.ts'

const MAIN = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url))
const TIMEOUT = 60_000
const PYTHON = peer('Python', () => execFileSync('python3', ['--version']).length > 0)
const LINUX = { skip: existsSync('/proc/self/net/tcp') ? false : 'there is no /proc' }

/** Binds a datagram socket, which Node cannot do, and prints what it gets. */
const RECEIVER = `
import socket, sys
path = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind('\\0' + path[1:] if path.startswith('@') else path)
print('bound', flush=True)
while True:
    print(repr(receiver.recv(4096).decode()), flush=True)
`

/** Opens a listening socket as descriptor 3 and becomes the program, as a service manager does. */
const ACTIVATOR = `
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(16)
print(listener.getsockname()[1], flush=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
`

interface Output {
  text: string
  readonly child: ChildProcess
}

function start(t: TestContext, program: string, ...args: string[]): Output {
  const child = spawn('python3', ['-c', program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const output: Output = { text: '', child }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.text += text
  })
  t.after(() => child.kill('SIGKILL'))
  return output
}

async function get(t: TestContext, port: number): Promise<string> {
  const client = await connectClient(t, port)
  const { statusCode, body } = await client.send(plainRequest('/', { headers: ['Connection: close'] })).whole()
  return `${statusCode} ${body}`
}

suite('ws-tunnel run and its service manager', { concurrency: 2 }, () => {
  for (const [name, workers] of [
    ['one process', []],
    ['workers', ['--workers', '2']],
  ] as const) {
    test(`tells NOTIFY_SOCKET when it is ready, alive, reloads and stops: ${name}`, PYTHON, async t => {
      const { address } = await startBackend(t, responding({ body: 'page' }))
      const at = await folder(t, { 'a.conf': `ProxyPass / http://${address}/\n` })
      const socket = name === 'workers' ? `@${at('notify')}` : at('notify')
      const receiver = start(t, RECEIVER, socket)
      const says = (text: string | RegExp): Promise<void> =>
        eventually(() => assert.match(receiver.text, typeof text === 'string' ? new RegExp(text) : text), TIMEOUT)
      await says('bound')
      const env = { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' }
      const program = new Program(t, ['run', at('a.conf'), '--listen', '127.0.0.1:0', ...workers], 'pipe', { env })
      await says('READY=1\\\\nSTATUS=serving')
      const [port = 0] = await program.ports()
      assert.equal(await get(t, port), '200 page', 'it serves when it is ready')
      await says(/(?:'WATCHDOG=1'\n[\s\S]*){2}/)
      program.signal('SIGHUP')
      await says(/RELOADING=1\\nMONOTONIC_USEC=\d+[\s\S]*READY=1/)
      program.signal('SIGTERM')
      assert.equal(await program.exit(), 0)
      await says('STOPPING=1')
    })
  }

  test('gives no sign of life while a worker stands still', { ...PYTHON, ...LINUX }, async t => {
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://127.0.0.1:1/\n' })
    const receiver = start(t, RECEIVER, at('notify'))
    await eventually(() => assert.match(receiver.text, /bound/), TIMEOUT)
    const env = { ...process.env, NOTIFY_SOCKET: at('notify'), WATCHDOG_USEC: '400000' }
    const args = ['run', at('a.conf'), '--listen', '127.0.0.1:0', '--workers', '2']
    const program = new Program(t, args, 'pipe', { env })
    await eventually(() => assert.match(receiver.text, /WATCHDOG=1/), TIMEOUT)
    const { pid } = program
    const children = execFileSync('cat', [`/proc/${pid}/task/${pid}/children`], { encoding: 'utf8' }).split(' ')
    const worker = Number(children[0])
    process.kill(worker, 'SIGSTOP')
    t.after(() => process.kill(worker, 'SIGKILL'))
    // A question that was on its way may still be answered.
    await new Promise(resolve => setTimeout(resolve, 500))
    const before = receiver.text
    await new Promise(resolve => setTimeout(resolve, 1_000))
    assert.equal(receiver.text, before)
    process.kill(worker, 'SIGCONT')
    await eventually(() => assert.ok(receiver.text.length > before.length), TIMEOUT)
  })

  for (const [name, workers] of [
    ['one process', []],
    ['workers', ['--workers', '2']],
  ] as const) {
    test(`serves at an inherited socket of LISTEN_FDS: ${name}`, { ...PYTHON, ...LINUX }, async t => {
      const { address } = await startBackend(t, responding({ body: 'page' }))
      const at = await folder(t, { 'a.conf': `ProxyPass / http://${address}/\n` })
      const { child } = start(t, ACTIVATOR, process.execPath, MAIN, 'run', at('a.conf'), ...workers)
      const printed = await new Promise<string>(resolve => child.stdout?.once('data', resolve))
      const port = Number(printed)
      await eventually(async () => assert.equal(await get(t, port), '200 page'), TIMEOUT)
      child.kill('SIGTERM')
      await new Promise(resolve => child.once('exit', resolve))
    })
  }

  for (const workers of [[], ['--workers', '2']]) {
    test(`listens at a unix socket, and replaces one that a program left behind: ${workers.join(' ') || 'one process'}`, async t => {
      const { address } = await startBackend(t, responding({ body: 'page' }))
      const at = await folder(t, {})
      const path = at('run.sock')
      await writeFile(at('a.conf'), `Listen unix:${path}\nProxyPass / http://${address}/\n`)
      // A server whose process is killed does not remove its socket.
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
      spawnSync(process.execPath, ['-e', script])
      assert.ok(existsSync(path))
      const program = new Program(t, ['run', at('a.conf'), ...workers])
      await program.prints(/listening on unix:/)
      assert.equal(statSync(path).mode & 0o777, 0o666)
      const client = connect(path)
      t.after(() => client.destroy())
      let text = ''
      client.on('data', chunk => {
        text += chunk
      })
      client.write(plainRequest('/', { headers: ['Connection: close'] }))
      await eventually(() => assert.match(text, /^HTTP\/1\.1 200 [\s\S]*page$/), TIMEOUT)
      program.signal('SIGTERM')
      assert.equal(await program.exit(), 0)
      assert.equal(existsSync(path), false)
    })
  }

  test('does not take over a unix socket where a program listens', async t => {
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://127.0.0.1:1/\n' })
    const path = at('taken.sock')
    const server = createServer().listen(path)
    t.after(() => server.close())
    await new Promise(resolve => server.once('listening', resolve))
    const program = new Program(t, ['run', at('a.conf'), '--listen', `unix:${path}`])
    assert.equal(await program.exit(), 1)
    assert.match(program.stderr, /could not listen: .*EADDRINUSE/)
    await rm(path, { force: true })
  })

  test('does not remove a file or a link at the path of a unix socket', async t => {
    const at = await folder(t, { 'a.conf': 'ProxyPass / ws://127.0.0.1:1/\n', file: 'kept' })
    symlinkSync(at('file'), at('link'))
    for (const name of ['file', 'link']) {
      const program = new Program(t, ['run', at('a.conf'), '--listen', `unix:${at(name)}`])
      assert.equal(await program.exit(), 1)
      assert.match(program.stderr, /could not listen: .*EADDRINUSE/)
    }
    assert.equal(readFileSync(at('link'), 'utf8'), 'kept')
    assert.ok(lstatSync(at('link')).isSymbolicLink())
  })
})
