import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { Folder, OURS } from './folder.ts'

const VERSION = '20.20.2'
const platform = `node-${process.platform}-${process.arch}`

test(`on Node ${VERSION} each package fails at import with one error that names the versions`, t => {
  const folder = Folder.install(OURS, [`${platform}@${VERSION}`, 'fastify@5'])
  t.after(() => folder.remove())
  const node = join(folder.path, 'node_modules', platform, 'bin', 'node')
  for (const name of OURS.filter(each => each !== 'native' && each !== 'cli')) {
    const code = `import('@ws-tunnel/${name}').catch(error => console.log(error.message))`
    const { stdout } = spawnSync(node, ['--eval', code], { cwd: folder.path, encoding: 'utf8' })
    assert.equal(stdout, `ws-tunnel needs Node.js ^22.21 || ^24.9 || >=26, and this is ${VERSION} (${node})\n`, name)
  }
  const { stderr } = spawnSync(node, ['node_modules/.bin/ws-tunnel', '--version'], {
    cwd: folder.path,
    encoding: 'utf8',
  })
  assert.match(stderr, /Error: ws-tunnel needs Node\.js \^22\.21 .* and this is 20\.20\.2/)
})
