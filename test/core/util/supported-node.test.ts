import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isSupportedNode, SUPPORTED_NODE } from '../../../packages/core/src/util/supported-node.ts'

test('a Node is supported from the first version of its line that is', () => {
  const rows: [version: string, supported: boolean][] = [
    ['18.20.8', false],
    ['20.20.2', false],
    ['22.20.0', false],
    ['22.21.0', true],
    ['22.23.3', true],
    ['23.11.1', false],
    ['24.8.0', false],
    ['24.9.0', true],
    ['24.10.0', true],
    ['25.9.0', false],
    ['26.0.0', true],
    ['30.1.0', true],
    ['27.0.0-nightly', true],
  ]
  for (const [version, supported] of rows) assert.equal(isSupportedNode(version), supported, version)
})

test('every package names the same versions', () => {
  const manifests = globSync('packages/*/package.json')
  assert.equal(manifests.length, 8)
  for (const file of manifests) assert.equal(JSON.parse(readFileSync(file, 'utf8')).engines.node, SUPPORTED_NODE, file)
})
