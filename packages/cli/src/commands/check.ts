import { compileHttpdConf, type Diagnostic, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { load } from '../configuration/configuration.ts'
import { readingFrom } from '../errors.ts'
import { diagnosticsText, isError } from './diagnostics-text.ts'

/**
 * `ws-tunnel check`: prints every diagnostic of a configuration.
 *
 * @returns the exit code.
 * @throws {FileError} when the file cannot be read.
 */
export function check(file: string, conf: HttpdConf): number {
  const { diagnostics, failed } = readingFrom(file, () =>
    conf.serverName === undefined ? checkAll(conf) : checkOne(conf),
  )
  process.stdout.write(diagnosticsText(diagnostics))
  if (!failed) process.stderr.write('Syntax OK\n')
  return failed ? 1 : 0
}

interface Checked {
  readonly diagnostics: readonly Diagnostic[]
  readonly failed: boolean
}

function checkOne(conf: HttpdConf): Checked {
  const { diagnostics, options } = compileHttpdConf(conf)
  return { diagnostics, failed: options === undefined }
}

function checkAll(conf: HttpdConf): Checked {
  const { diagnostics, serverDiagnostics } = load(conf)
  // The certificates need not be on this machine if the configuration is for a middleware.
  const softened = serverDiagnostics.map((diagnostic): Diagnostic => ({ ...diagnostic, severity: 'warning' }))
  return { diagnostics: [...diagnostics, ...softened], failed: diagnostics.some(isError) }
}
