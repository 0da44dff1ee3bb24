import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// The tests of the offloaded tunnels over an addon built with AddressSanitizer and UndefinedBehaviorSanitizer, then over one
// under valgrind. Node itself is known to both for reports of its own: only those that name our sources count.
const root = fileURLToPath(new URL('..', import.meta.url))
const OWN = ['test/core/tunnel/native-engine.test.ts', 'test/core/backend/native-trip.test.ts']
const TESTS = ['test/core/tunnel/tunnel.test.ts', 'test/core/tunnel/tunnel-limits.test.ts', ...OWN]
const OURS = /\b(?:addon|connection|pump|tunnel)\.c:\d+/

function output(command: string, ...args: string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout.trim()
}

function build(name: string, flags: string[]): string {
  const folder = join(root, '.cache', name)
  const args = [join(root, 'packages/native/build.js'), folder, '--', '-g', '-fno-omit-frame-pointer', ...flags]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  return folder
}

/** Has Node load the addon from there. Not by the environment: valgrind may be a shell script, which drops a name like this. */
function loading(folder: string): string {
  const code = `process.env['@WS_TUNNEL/NATIVE_PREBUILD'] = ${JSON.stringify(folder)}`
  return `--import=data:text/javascript,${encodeURIComponent(code)}`
}

/** Runs each test file in one process over the addon in the folder, and gives what is wrong with it. */
function run(
  name: string,
  folder: string,
  command: string[],
  env: Record<string, string>,
  logs: string,
  files: string[],
): string[] {
  const wrong: string[] = []
  const [program = process.execPath, ...before] = [...command, process.execPath, loading(folder)]
  const start = (...args: string[]): number | null =>
    spawnSync(program, [...before, ...args], { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status
  const look = `await import('@ws-tunnel/native')
    process.exitCode = (await import('node:fs')).readFileSync('/proc/self/maps', 'utf8').includes(${JSON.stringify(folder)}) ? 0 : 1`
  if (start('--input-type=module', '--eval', look) !== 0)
    return [`${name}: the addon that was built for it is not the one that is loaded`]
  for (const file of files) {
    console.log(`${name}: ${file}`)
    for (const old of readdirSync(join(root, '.cache')).filter(entry => entry.startsWith(logs))) {
      rmSync(join(root, '.cache', old))
    }
    const status = start('--test-timeout=600000', file)
    // Under valgrind everything is so slow that a test may well run out of time.
    if (status !== 0 && name !== 'valgrind') wrong.push(`${name}: ${file} failed`)
    for (const log of readdirSync(join(root, '.cache')).filter(entry => entry.startsWith(logs))) {
      const report = readFileSync(join(root, '.cache', log), 'utf8')
      if (!OURS.test(report)) continue
      console.error(report)
      wrong.push(`${name}: ${file} was reported in .cache/${log}`)
    }
  }
  return wrong
}

const asan = build('native-asan', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'])
const libraries = ['libasan.so', 'libubsan.so'].map(library => output('gcc', `-print-file-name=${library}`))
const wrong = run(
  'AddressSanitizer',
  asan,
  [],
  {
    LD_PRELOAD: libraries.join(' '),
    ASAN_OPTIONS: `detect_leaks=1:log_path=${join(root, '.cache', 'asan-log')}`,
    LSAN_OPTIONS: 'exitcode=0',
  },
  'asan-log',
  TESTS,
)

const plain = build('native-valgrind', ['-O1'])
wrong.push(
  ...run(
    'valgrind',
    plain,
    [
      'valgrind',
      '--quiet',
      '--leak-check=full',
      // What Node keeps of a queue by a pointer into the middle of it is not lost.
      '--show-leak-kinds=definite',
      `--log-file=${join(root, '.cache', 'valgrind-log')}.%p`,
    ],
    {},
    'valgrind-log',
    OWN,
  ),
)

for (const line of wrong) console.error(line)
process.exit(wrong.length === 0 ? 0 : 1)
