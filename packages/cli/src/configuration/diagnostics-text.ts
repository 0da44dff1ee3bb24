import { type Diagnostic, formatDiagnostic } from '@ws-tunnel/httpd-conf'
import { printable } from '../logs/error-format.ts'

/** Formats diagnostics for a terminal, in the order of file and line. */
export const diagnosticsText = (diagnostics: readonly Diagnostic[]): string =>
  diagnostics
    .toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
    .map(diagnostic => `${printable(formatDiagnostic(diagnostic))}\n`)
    .join('')

export const isError = ({ severity }: Diagnostic): boolean => severity === 'error'
