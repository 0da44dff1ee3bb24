// Compiles the addon for this machine with $CC, or cc: node build.js [folder] [-- flags of the compiler].
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('.', import.meta.url))
const headers = require('node-api-headers').include_dir
const { glibcVersionRuntime } = process.report.getReport().header
const libc = glibcVersionRuntime === undefined ? 'musl' : 'glibc'

const args = process.argv.slice(2)
const at = args.indexOf('--')
const folder = (at === -1 ? args : args.slice(0, at))[0] ?? root
const flags = at === -1 ? ['-O2', '-s'] : args.slice(at + 1)

if (process.platform !== 'linux') {
  console.error(`The addon needs epoll and splice, which ${process.platform} does not have.`)
  process.exit(1)
}
const out = join(folder, 'prebuilds', `linux-${process.arch}`, `node.napi.${libc}.node`)
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
    // The binary depends on the compiler and the sources alone, not on the folder and not on the time.
    `-ffile-prefix-map=${root}=`,
    '-Wl,--build-id=none',
    ...flags,
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
