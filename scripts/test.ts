import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// Runs the test files with this Node: those that match the patterns in the arguments, or all.
const root = fileURLToPath(new URL('..', import.meta.url))
const patterns = process.argv.slice(2)
const files = globSync(patterns.length === 0 ? 'test/**/*.test.ts' : patterns, { cwd: root }).sort()
if (files.length === 0) throw new Error(`No test file matches ${patterns.join(' ')}`)
const runner = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    '--test-reporter=spec',
    '--test-timeout=300000',
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
)
runner.on('exit', code => process.exit(code ?? 1))
