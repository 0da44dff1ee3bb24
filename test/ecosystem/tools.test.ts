import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { compile, compilerPackage, nameOf, settingsOf } from './compilers.ts'
import { Folder, type OurPackage } from './folder.ts'

const OURS: OurPackage[] = [
  'cli',
  'core',
  'express',
  'fastify',
  'http-proxy-middleware',
  'httpd-conf',
  'manager',
  'native',
]
const TOOLS = [
  '@types/node@24',
  'express@5',
  '@types/express@5',
  'fastify@5',
  'redis',
  'tsx',
  'ts-node',
  'esbuild',
  'rollup',
]
const ROLLUP = ['commonjs', 'json', 'node-resolve'].map(name => `@rollup/plugin-${name}`)

/** The oldest and the newest compiler. `scripts/ecosystem.ts` has those between. */
const COMPILERS = [5.5, 7]

suite('the packed packages with', () => {
  let folder: Folder

  before(() => {
    const compilers = COMPILERS.map(version => `${compilerPackage(version)}@npm:typescript@${version.toFixed(1)}`)
    folder = Folder.install(OURS, [...TOOLS, ...ROLLUP, ...compilers, 'typescript@5.9'], 'commonjs')
    const consumer = folder.copy('types/consumer.ts')
    for (const extension of ['cts', 'mts']) copyFileSync(consumer, consumer.replace(/ts$/, extension))
  })

  after(() => folder?.remove())

  for (const compiler of COMPILERS) {
    for (const setting of settingsOf(compiler)) {
      test(`TypeScript ${compiler.toFixed(1)}, module ${nameOf(setting)}`, () => {
        compile(folder, compiler, setting, 'consumer')
        if (setting.options['module'] === 'esnext') return
        const script = join('out', `consumer.${setting.extension.replace('ts', 'js')}`)
        assert.match(folder.run(process.execPath, [script]), /^imported 0 object$/m)
      })
    }
  }
})
