// Compiles the addon with $CC, or cc: node build.js [folder] [--target x64-musl] [-- flags of the compiler]. The target is this machine
// unless given; $CFLAGS has flags in addition to those that are used.
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('.', import.meta.url))
const headers = require('node-api-headers').include_dir
const { glibcVersionRuntime } = process.report.getReport().header

const args = process.argv.slice(2)
const at = args.indexOf('--')
const { values, positionals } = parseArgs({
  args: at === -1 ? args : args.slice(0, at),
  allowPositionals: true,
  options: {
    target: { type: 'string', default: `${process.arch}-${glibcVersionRuntime === undefined ? 'musl' : 'glibc'}` },
  },
})
const folder = positionals[0] ?? root
const [arch, libc] = values.target.split('-')
// FORTIFY needs optimisation, and the sanitizers do the same checks. A distribution may predefine it.
const flags = at === -1 ? ['-O2', '-s', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'] : args.slice(at + 1)

if (process.platform !== 'linux') {
  console.error(`The addon needs epoll and splice, which ${process.platform} does not have.`)
  process.exit(1)
}
const out = join(folder, 'prebuilds', `linux-${arch}`, `node.napi.${libc}.node`)
mkdirSync(dirname(out), { recursive: true })
const { status, error } = spawnSync(
  process.env['CC'] ?? 'cc',
  [
    '-std=c11',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-fPIC',
    '-shared',
    '-pthread',
    '-fvisibility=hidden',
    '-fstack-protector-strong',
    // BIND_NOW: all symbols are resolved when the addon is loaded, and their table is read-only afterwards.
    '-Wl,-z,relro,-z,now',
    // The binary depends on the compiler and the sources alone, not on the folder and not on the time.
    `-ffile-prefix-map=${root}=`,
    '-Wl,--build-id=none',
    ...flags,
    ...(process.env['CFLAGS'] ?? '').split(' ').filter(Boolean),
    `-I${headers}`,
    ...globSync('c/*.c', { cwd: root }).sort(),
    '-o',
    out,
  ],
  { cwd: root, stdio: 'inherit' },
)
if (error !== undefined) console.error(`No C compiler: ${error.message}. Set CC to the path of one.`)
if (status === 0) console.log(out)
process.exit(status ?? 1)
