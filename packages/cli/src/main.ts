#!/usr/bin/env node
import { limitYoungGeneration } from './young-generation.ts'

// Before other modules are loaded, because the young generation grows meanwhile.
if (process.argv[2] === 'run') limitYoungGeneration()

const { runCommandLine } = await import('./run-command-line.ts')
runCommandLine().then(exitCode => {
  process.exitCode = exitCode
})
