import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { responding } from '../support/backend.ts'
import { eventually } from '../support/gate.ts'
import { startBackend } from '../support/harness.ts'
import { peer } from '../support/peers.ts'
import { ended, folder, Program } from './program.ts'

const read = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../packaging/${name}`, import.meta.url)), 'utf8')

/** The words of an instruction of the Dockerfile: its own, or that of the health check, which is indented. */
const wordsOf = (instruction: RegExp): string[] => JSON.parse(instruction.exec(read('Dockerfile'))?.[1] ?? 'null')

test('the image serves its configuration, and its health check passes while it does', async t => {
  const { address } = await startBackend(t, responding({ body: 'page' }))
  const at = await folder(t, {
    'ws-tunnel.conf': `<VirtualHost *:80>\nProxyPass / http://${address}/\n</VirtualHost>\n`,
  })
  const args = wordsOf(/^CMD (\[.*\])$/m).map(word =>
    word.replace('/etc/ws-tunnel/ws-tunnel.conf', at('ws-tunnel.conf')).replace('8080=', '127.0.0.1:0='),
  )
  const program = new Program(t, args)
  const [port = 0] = await program.ports()
  const [, ...probe] = wordsOf(/^ {2}CMD (\[.*\])$/m)
  const check = (): number | null =>
    spawnSync(
      process.execPath,
      probe.map(arg => arg.replace('8080', String(port))),
    ).status
  assert.equal(check(), 0)
  program.signal('SIGTERM')
  assert.equal(await program.exit(), 0)
  await eventually(() => assert.equal(check(), 1))
})

test(
  'the unit is one that systemd accepts, with commands that the program has',
  peer('systemd', () => execFileSync('systemd-analyze', ['--version']).length > 0),
  async t => {
    const unit = read('ws-tunnel.service')
    const at = await folder(t, { 'ws-tunnel.service': '', 'apache2.conf': 'ProxyPass / ws://127.0.0.1:1/\n' })
    writeFileSync(at('ws-tunnel.service'), unit.replaceAll('/usr/local/bin/ws-tunnel', process.execPath))
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', at('ws-tunnel.service')], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    const commands = Array.from(
      unit.matchAll(/^ExecStart(?:Pre)?=\/usr\/local\/bin\/ws-tunnel (.*)$/gm),
      ([, text = '']) => text,
    )
    assert.equal(commands.length, 2)
    for (const command of commands) {
      const args = command.replace('/etc/apache2/apache2.conf', at('apache2.conf')).split(' ')
      if (args[0] === 'run') args.push('--listen', '127.0.0.1:0')
      if (args[0] === 'check') assert.equal((await ended(t, ...args)).code, 0)
      else await new Program(t, args).ports()
    }
  },
)
