import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// Runs every test of test/ecosystem, those that are too slow for each run too: `pnpm run ecosystem [pattern]`. Each installs the packed
// packages with npm in an empty folder, so it needs the network. The durations are those of npm and of the app together.
const root = fileURLToPath(new URL('..', import.meta.url))
const pattern = process.argv[2] ?? 'test/ecosystem/*.{test,slow}.ts'
const files = globSync(pattern, { cwd: root }).sort()
if (files.length === 0) throw new Error(`No file matches ${pattern}`)
const args = ['--disable-warning=ExperimentalWarning', '--test', '--test-concurrency=1', '--test-timeout=600000']
const runner = spawn(process.execPath, [...args, ...files], { cwd: root, stdio: 'inherit' })
runner.on('exit', code => process.exit(code ?? 1))
