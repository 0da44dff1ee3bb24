import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Compiles the addon for every system that the package has a binary for: `node scripts/native-prebuilds.ts [folder]`, on Debian for x64
// with gcc and gcc-aarch64-linux-gnu. The headers of musl come from Debian's packages, which are unpacked into a temporary folder.

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = process.argv[2] ?? join(root, 'packages', 'native')

const TARGETS = [
  { arch: 'x64', debian: 'amd64', triple: 'x86_64-linux-musl', cc: 'gcc', nm: 'nm', flags: [] },
  {
    arch: 'arm64',
    debian: 'arm64',
    triple: 'aarch64-linux-musl',
    cc: 'aarch64-linux-gnu-gcc',
    nm: 'aarch64-linux-gnu-nm',
    // The outlined atomics of libgcc need a function of glibc.
    flags: ['-mno-outline-atomics'],
  },
] as const

function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...options })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`)
  return stdout
}

/** Downloads musl for an architecture and unpacks it. The lists of apt are separate, so nothing on this machine changes. */
function unpackMusl(debian: string, into: string): string {
  for (const path of ['state/lists/partial', 'cache/archives/partial']) mkdirSync(join(into, path), { recursive: true })
  writeFileSync(join(into, 'status'), '')
  const settings = [
    `APT::Architecture=${debian}`,
    `APT::Architectures=${debian}`,
    `Dir::State=${into}/state`,
    `Dir::State::status=${into}/status`,
    `Dir::Cache=${into}/cache`,
    'APT::Sandbox::User=root',
  ].flatMap(setting => ['-o', setting])
  run('apt-get', [...settings, 'update', '-qq'], { cwd: into })
  run('apt-get', [...settings, 'download', '-qq', 'musl', 'musl-dev'], { cwd: into })
  for (const file of globSync('*.deb', { cwd: into })) run('dpkg-deb', ['-x', file, 'musl'], { cwd: into })
  return join(into, 'musl')
}

function build(target: string, cc: string, cflags: readonly string[]): string {
  const env = { ...process.env, CC: cc, CFLAGS: cflags.join(' ') }
  return run(process.execPath, [join(root, 'packages/native/build.js'), folder, '--target', target], { env }).trim()
}

/** Throws if a binary needs a function that neither musl nor Node has. There is no Node for musl here to load it. */
function checkSymbols(nm: string, binary: string, libc: string): void {
  const names = (args: string[]): string[] =>
    run(nm, ['-D', ...args])
      .split('\n')
      .flatMap(line => /(\S+)$/.exec(line)?.[1] ?? [])
  const known = new Set(names(['--defined-only', libc]))
  const unknown = names(['--undefined-only', binary]).filter(name => !known.has(name) && !name.startsWith('napi_'))
  if (unknown.length > 0) throw new Error(`${binary} needs ${unknown.join(', ')}, which musl does not have`)
}

const temporary = mkdtempSync(join(tmpdir(), 'ws-tunnel-musl-'))
try {
  for (const { arch, debian, triple, cc, nm, flags } of TARGETS) {
    console.log(build(`${arch}-glibc`, cc, flags))
    mkdirSync(join(temporary, arch))
    const musl = unpackMusl(debian, join(temporary, arch))
    const own = run(cc, ['-print-file-name=include']).trim()
    const headers = ['-nostdinc', '-isystem', join(musl, 'usr/include', triple), '-isystem', own]
    const library = join(musl, 'lib', triple, 'libc.so')
    // The functions of musl come from the process of Node, which has them loaded.
    const binary = build(`${arch}-musl`, cc, [...flags, ...headers, '-nostdlib'])
    checkSymbols(nm, binary, library)
    console.log(binary)
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
