import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { peer } from '../../support/peers.ts'

const NATIVE = fileURLToPath(new URL('../../../packages/native/', import.meta.url))
const PREBUILT = join('prebuilds', 'linux-x64', 'node.napi.glibc.node')

const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
/** Whether this machine can build that binary at all. */
const isItsPlatform = process.platform === 'linux' && process.arch === 'x64' && header.glibcVersionRuntime !== undefined

const cc = process.env['CC'] ?? 'cc'
const compiler = isItsPlatform
  ? peer('a C compiler', () => spawnSync(cc, ['--version']).status === 0)
  : { skip: 'the prebuilt binary is for linux-x64 with glibc' }

/** The version of the compiler that built a binary, as the compiler writes it into the section `.comment`. */
function builtBy(binary: Buffer): string | undefined {
  return /GCC: (\([^\0]*\) [\d.]+)\0/.exec(binary.toString('latin1'))?.[1]
}

/** The version of this machine's compiler in the same form: GCC begins with its own name, which is that of the command. */
function thisCompiler(): string | undefined {
  const { stdout } = spawnSync(cc, ['--version'], { encoding: 'utf8' })
  return /^\S+ (\(.*\) [\d.]+)/.exec(stdout)?.[1]
}

/**
 * Another compiler makes other bytes, and that is no fault of the sources. So it is a reason to skip, also where
 * `REQUIRE_PEERS=1` promises that a compiler is installed.
 */
function sameCompiler(): { skip: string | false } {
  if (compiler.skip !== false) return compiler
  const [theirs, ours] = [builtBy(readFileSync(join(NATIVE, PREBUILT))), thisCompiler()]
  return {
    skip: theirs === ours ? false : `GCC ${theirs} has built the binary, and the compiler here is ${ours ?? 'not GCC'}`,
  }
}

test('the prebuilt addon is what the sources give', sameCompiler(), t => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-tunnel-native-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { status, stderr } = spawnSync(process.execPath, [join(NATIVE, 'build.js'), folder], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const [built, prebuilt] = [folder, NATIVE].map(root => readFileSync(join(root, PREBUILT)))
  assert.ok(built?.equals(prebuilt as Buffer), 'run `pnpm run native:build` and commit the binary')
})

test('the prebuilt addon names the compiler that has built it', () => {
  assert.match(builtBy(readFileSync(join(NATIVE, PREBUILT))) ?? '', /^\(.+\) \d+\.\d+/)
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

test('the prebuilt addon has BIND_NOW, stack protector and FORTIFY', () => {
  const elf = readFileSync(join(NATIVE, PREBUILT))
  const [DT_FLAGS, DF_BIND_NOW] = [30, 8n]
  assert.equal((dynamicEntries(elf).get(DT_FLAGS) ?? 0n) & DF_BIND_NOW, DF_BIND_NOW)
  assert.ok(elf.includes('\0__stack_chk_fail\0'), 'no stack protector')
  assert.match(elf.toString('latin1'), /\0__\w+_chk\0/, 'no checked function of FORTIFY')
})
