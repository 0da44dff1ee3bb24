import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Runs the tests of the offloaded tunnels with an addon that is built with AddressSanitizer and
// UndefinedBehaviorSanitizer, then with one under valgrind. Both also report errors in Node itself, so only reports
// that name our sources count.
const root = fileURLToPath(new URL('..', import.meta.url))
const OWN = [
  'test/core/tunnel/native-addon.test.ts',
  'test/core/tunnel/native-connection.test.ts',
  'test/core/tunnel/native-handover.test.ts',
  'test/core/tunnel/native-engine.test.ts',
  'test/core/tunnel/hand-over-engine.test.ts',
  'test/core/tunnel/open-engine.test.ts',
  'test/core/backend/native-round-trip.test.ts',
]
const TESTS = [
  'test/core/tunnel/open-tunnel.test.ts',
  'test/core/tunnel/tunnel-limits.test.ts',
  'test/core/tunnel/urgent-data.test.ts',
  ...OWN,
]
const SOURCES = readdirSync(join(root, 'packages/native/c')).filter(name => name.endsWith('.c'))
const OURS = new RegExp(`\\b(?:${SOURCES.map(name => name.slice(0, -2)).join('|')})\\.c:\\d+`)

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

/**
 * Returns the option that makes Node load the addon from the folder. It is not an environment variable of the process,
 * because valgrind may be a shell script, and a shell drops a variable with such a name.
 */
function loading(folder: string): string {
  const code = `process.env['@WS_TUNNEL/NATIVE_PREBUILD'] = ${JSON.stringify(folder)}`
  return `--import=data:text/javascript,${encodeURIComponent(code)}`
}

/** Runs each test file in one process with the addon in the folder, and returns its errors. */
function run(
  name: string,
  folder: string,
  command: string[],
  env: Record<string, string>,
  logs: string,
  files: string[],
): string[] {
  const problems: string[] = []
  const [program = process.execPath, ...before] = [...command, process.execPath, loading(folder)]
  const start = (...args: string[]): number | null =>
    spawnSync(program, [...before, ...args], { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status
  const isLoaded = `await import('@ws-tunnel/native')
    process.exitCode = (await import('node:fs')).readFileSync('/proc/self/maps', 'utf8').includes(${JSON.stringify(folder)}) ? 0 : 1`
  if (start('--input-type=module', '--eval', isLoaded) !== 0)
    return [`${name}: Node loaded another addon than the one that was built for it`]
  for (const file of files) {
    console.log(`${name}: ${file}`)
    for (const old of readdirSync(join(root, '.cache')).filter(entry => entry.startsWith(logs))) {
      rmSync(join(root, '.cache', old))
    }
    const status = start('--test-timeout=600000', file)
    // Valgrind is so slow that a test may exceed its time limit.
    if (status !== 0 && name !== 'valgrind') problems.push(`${name}: ${file} failed`)
    for (const log of readdirSync(join(root, '.cache')).filter(entry => entry.startsWith(logs))) {
      const report = readFileSync(join(root, '.cache', log), 'utf8')
      if (!OURS.test(report)) continue
      console.error(report)
      problems.push(`${name}: .cache/${log} reports an error in ${file}`)
    }
  }
  return problems
}

const asan = build('native-asan', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'])
const libraries = ['libasan.so', 'libubsan.so'].map(library => output('gcc', `-print-file-name=${library}`))
const problems = run(
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
problems.push(
  ...run(
    'valgrind',
    plain,
    [
      'valgrind',
      '--quiet',
      '--leak-check=full',
      // Node refers to some queues by a pointer into their middle, which valgrind counts as possibly lost.
      '--show-leak-kinds=definite',
      `--log-file=${join(root, '.cache', 'valgrind-log')}.%p`,
    ],
    {},
    'valgrind-log',
    OWN,
  ),
)

for (const line of problems) console.error(line)
process.exit(problems.length === 0 ? 0 : 1)
