import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { compile, compilerPackage, nameOf, settingsOf } from './compilers.ts'
import { CONSUMER, Folder, OURS } from './folder.ts'

const COMPILERS = [5.5, 5.6, 5.7, 5.8, 5.9, 6, 7]

suite('every compiler from 5.5 to 7', () => {
  let folder: Folder

  before(() => {
    const compilers = COMPILERS.map(version => `${compilerPackage(version)}@npm:typescript@${version.toFixed(1)}`)
    folder = Folder.install(OURS, [...CONSUMER, ...compilers], 'commonjs')
    const consumer = folder.copy('types/consumer.ts')
    for (const extension of ['cts', 'mts']) copyFileSync(consumer, consumer.replace(/ts$/, extension))
  })

  after(() => folder?.remove())

  for (const compiler of COMPILERS) {
    for (const setting of settingsOf(compiler)) {
      test(`TypeScript ${compiler.toFixed(1)}, module ${nameOf(setting)}`, () => {
        compile(folder, compiler, setting, 'consumer')
        // What a bundler gets is no program of Node: its imports have no `require` and no type of module.
        if (setting.options['module'] === 'esnext') return
        const script = join('out', `consumer.${setting.extension.replace('ts', 'js')}`)
        assert.match(folder.run(process.execPath, [script]), /^imported 0 object$/m)
      })
    }
  }
})
