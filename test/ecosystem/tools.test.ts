import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { logs, servesBoth } from './checks.ts'
import { compile, compilerPackage, nameOf, type Setting, settingsOf } from './compilers.ts'
import { startEchoBackend } from './echo-backend.ts'
import { CONSUMER, Folder, OURS } from './folder.ts'

const TOOLS = ['tsx', 'ts-node', 'esbuild', 'rollup']
const ROLLUP = ['commonjs', 'json', 'node-resolve'].map(name => `@rollup/plugin-${name}`)

/** The oldest and the newest compiler. `compilers.slow.ts` has all of them. */
const COMPILERS = [5.5, 7]

/** What the old compiler does in its own way: resolution without `exports`, and no `require` of an ES module. */
const isShort = (compiler: number, { options, extension }: Setting): boolean =>
  compiler === 7 || options['moduleResolution'] === 'node10' || (options['module'] === 'node16' && extension === 'cts')

/** What runs TypeScript without compiling it first. Node itself strips the types. */
const RUNNERS = {
  'node, which strips types': ['--disable-warning=ExperimentalWarning', 'consumer.mts'],
  'tsx, with import': ['--import', 'tsx', 'consumer.mts'],
  'tsx, with require': ['--import', 'tsx', 'consumer.ts'],
  'ts-node': ['--require', 'ts-node/register', 'consumer.ts'],
}

suite('the packed packages with', () => {
  let folder: Folder
  let backend: Awaited<ReturnType<typeof startEchoBackend>>

  before(async () => {
    backend = await startEchoBackend()
    const compilers = COMPILERS.map(version => `${compilerPackage(version)}@npm:typescript@${version.toFixed(1)}`)
    folder = Folder.install(OURS, [...CONSUMER, ...TOOLS, ...ROLLUP, ...compilers, 'typescript@5.9'], 'commonjs')
    const consumer = folder.copy('types/consumer.ts')
    for (const extension of ['cts', 'mts']) copyFileSync(consumer, consumer.replace(/ts$/, extension))
  })

  after(() => {
    backend?.close()
    folder?.remove()
  })

  for (const compiler of COMPILERS) {
    for (const setting of settingsOf(compiler).filter(each => isShort(compiler, each))) {
      test(`TypeScript ${compiler.toFixed(1)}, module ${nameOf(setting)}`, () => {
        compile(folder, compiler, setting, 'consumer')
        if (setting.options['module'] === 'esnext') return
        const script = join('out', `consumer.${setting.extension.replace('ts', 'js')}`)
        assert.match(folder.run(process.execPath, [script]), /^imported 0 object$/m)
      })
    }
  }

  for (const format of ['cjs', 'esm'] as const) {
    for (const bundler of ['esbuild', 'rollup'] as const) {
      test(`${bundler}, a bundle of ${format}`, async t => {
        const bundle = `${bundler}.${format === 'cjs' ? 'cjs' : 'mjs'}`
        const app = folder.copy('apps/bundle.mjs')
        const bin = join(folder.path, 'node_modules', '.bin', bundler)
        folder.run(bin, bundler === 'esbuild' ? esbuildArgs(app, format, bundle) : rollupArgs(app, format, bundle))
        const program = await folder.start(bundle, backend.host)
        t.after(() => program.kill())
        await servesBoth(program)
        await logs(program, /^offloaded: true$/m)
        await logs(program, /^fastify is ready$/m)
        const text = async (path: string): Promise<string> => (await program.get(path)).text()
        assert.equal(await text('/hpm/a'), 'GET /a of guest: ')
        assert.equal(await text('/conf/b'), 'GET /b of guest: ')
        assert.match(await text('/manager/'), /<!doctype html>/i)
        assert.match(await text('/manager/main.js'), /import/)
      })
    }
  }

  test('a bundle without the files of the manager, which says so', t => {
    const empty = mkdtempSync(join(tmpdir(), 'ws-tunnel-bundle-'))
    t.after(() => rmSync(empty, { recursive: true, force: true }))
    const bundle = join(empty, 'bundle.cjs')
    folder.run(
      join(folder.path, 'node_modules', '.bin', 'esbuild'),
      esbuildArgs(folder.copy('apps/manager.mjs'), 'cjs', bundle),
    )
    assert.throws(
      () => folder.run(process.execPath, [bundle]),
      /Install @ws-tunnel\/manager where the bundle of the app is/,
    )
  })

  for (const [name, args] of Object.entries(RUNNERS)) {
    test(name, () => {
      assert.match(folder.run(process.execPath, args), /^imported 0 object$/m)
    })
  }
})

/** Frameworks, and packages that need their files, stay outside of a bundle. */
const EXTERNAL = ['@ws-tunnel/native', 'express', 'fastify', 'prom-client', 'redis']

function esbuildArgs(app: string, format: 'cjs' | 'esm', bundle: string): string[] {
  const common = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=${bundle}`, '--log-level=error']
  // esbuild leaves `require` of Node's modules in a bundle of ES modules, where there is no `require`.
  const banner = "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);"
  const more = format === 'esm' ? [`--banner:js=${banner}`] : []
  return [app, ...common, ...EXTERNAL.map(name => `--external:${name}`), ...more]
}

function rollupArgs(app: string, format: 'cjs' | 'esm', bundle: string): string[] {
  const plugins = ['node-resolve={preferBuiltins:true,exportConditions:["node"]}', 'commonjs', 'json']
  return [
    app,
    '--format',
    format,
    '--file',
    bundle,
    '--silent',
    '--external',
    EXTERNAL.join(),
    ...plugins.flatMap(name => ['--plugin', name]),
  ]
}
