import { compileHttpdConf, type Diagnostic, type HttpdConf } from '@ws-tunnel/httpd-conf'
import { load } from '../configuration/configuration.ts'
import { diagnosticsText, isError } from '../configuration/diagnostics-text.ts'
import { readingFrom } from '../errors.ts'

/** How {@link check} prints what it finds. */
export interface CheckOutput {
  /** Prints errors alone. */
  readonly quiet?: boolean
  readonly json?: boolean
  /** Prints each ignored line, and not their number alone. */
  readonly ignored?: boolean
}

/**
 * `ws-tunnel check`: prints the diagnostics of a configuration, what matters first, and a summary.
 *
 * @returns the exit code.
 * @throws {FileError} when the file cannot be read.
 */
export function check(file: string, conf: HttpdConf, output: CheckOutput = {}): number {
  const { diagnostics, failed } = readingFrom(file, () =>
    conf.serverName === undefined ? checkAll(conf) : checkOne(conf),
  )
  const exitCode = failed ? 1 : 0
  const of = (severity: Diagnostic['severity']): Diagnostic[] => diagnostics.filter(each => each.severity === severity)
  const [errors, warnings, ignored] = [of('error'), of('warning'), of('ignored')]
  if (output.json) {
    const counts = { errors: errors.length, warnings: warnings.length, ignored: ignored.length }
    process.stdout.write(`${JSON.stringify({ ok: !failed, counts, diagnostics }, null, 2)}\n`)
    return exitCode
  }
  process.stdout.write(diagnosticsText(errors))
  if (output.quiet) return exitCode
  process.stdout.write(diagnosticsText(warnings))
  if (output.ignored) process.stdout.write(diagnosticsText(ignored))
  else process.stdout.write(ignoredText(ignored))
  if (errors.length + warnings.length + ignored.length > 0)
    process.stdout.write(
      `${count(errors, 'error')}, ${count(warnings, 'warning')}, ${count(ignored, 'ignored line')}\n`,
    )
  if (!failed) process.stderr.write('Syntax OK\n')
  return exitCode
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
  const softened = serverDiagnostics.map(
    (diagnostic): Diagnostic =>
      /^ssl/i.test(diagnostic.directive) ? { ...diagnostic, severity: 'warning' } : diagnostic,
  )
  const all = [...diagnostics, ...softened]
  return { diagnostics: all, failed: all.some(isError) }
}

const count = (list: readonly unknown[], what: string): string =>
  `${list.length} ${what}${list.length === 1 ? '' : 's'}`

/** The directives of ignored lines by reason, each reason in one line. */
function ignoredText(ignored: readonly Diagnostic[]): string {
  const byReason = new Map<string, Map<string, number>>()
  for (const { message, directive } of ignored) {
    const names = byReason.get(message) ?? new Map<string, number>()
    byReason.set(message, names.set(directive, (names.get(directive) ?? 0) + 1))
  }
  const lines = Array.from(byReason, ([reason, names]) => {
    const list = Array.from(names, ([name, times]) => (times === 1 ? name : `${name} (${times})`))
    return `ignored, because ${reason}: ${list.join(', ')}\n`
  })
  return lines.join('')
}
