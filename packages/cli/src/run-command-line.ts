import { WsTunnelError } from '@ws-tunnel/core'
import { CommanderError } from 'commander'
import { createProgram } from './commands/command-line.ts'
import { translateFlags } from './commands/httpd-flags.ts'
import { FileError } from './errors.ts'
import { printable } from './logs/error-format.ts'

/** Runs the command line and resolves to the exit code. */
export async function runCommandLine(): Promise<number> {
  let exitCode = 0
  try {
    await createProgram(code => {
      exitCode = code
    }).parseAsync(translateFlags(process.argv.slice(2)), { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has printed its message already. It also throws after --help and --version, with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof FileError || error instanceof WsTunnelError)) throw error
    process.stderr.write(`ws-tunnel: ${printable(error.message)}\n`)
    return 1
  }
}
