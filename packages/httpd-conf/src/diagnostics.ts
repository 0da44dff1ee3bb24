/** Where a directive stands. */
export interface Place {
  /** The file's name as it was given, or found through Include. */
  readonly file: string
  /** First line of the directive, from 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
  /** The line as it stands in the file, continuation lines included. */
  readonly text: string
}

/**
 * `error`: the configuration cannot be compiled; `warning`: it was, and something in it does not do what it seems to;
 * `ignored`: the directive is outside what a proxy middleware does.
 */
export type Severity = 'error' | 'warning' | 'ignored'

/** What is to say about one line. */
export interface Diagnostic extends Place {
  readonly severity: Severity
  /** The directive as written; `''` where a line has none. */
  readonly directive: string
  readonly message: string
  /** What would be right in its place. */
  readonly expected: string | undefined
  /** The text with which httpd refuses the same line. */
  readonly httpd: string | undefined
}

/** What a diagnostic may say beside its message. */
export interface Remark {
  expected?: string
  httpd?: string
  /** A word of the line to point at, instead of the directive. */
  at?: string
}

/** One diagnostic as text: place, message, the line and a caret. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, directive, message, expected, httpd, text } = diagnostic
  const name = directive === '' ? '' : `${directive}: `
  const source = text.split('\n', 1)[0] ?? ''
  const notes = [
    ...(expected === undefined ? [] : [`  expected: ${expected}`]),
    ...(httpd === undefined || httpd === message ? [] : [`  httpd: ${httpd}`]),
  ]
  const pad = source.slice(0, column - 1).replace(/[^\t]/g, ' ')
  return [`${file}:${line}:${column}: ${severity}: ${name}${message}`, `  ${source}`, `  ${pad}^`, ...notes].join('\n')
}

/** A configuration that cannot be compiled. */
export class HttpdConfError extends Error {
  readonly code = 'WST_ERR_HTTPD_CONF'
  /** All that was found, errors first. */
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error')
    super(errors.map(formatDiagnostic).join('\n'))
    this.name = 'HttpdConfError'
    this.diagnostics = [...errors, ...diagnostics.filter(({ severity }) => severity !== 'error')]
  }
}

/** The diagnostics of one compilation, each place and message once. */
export class Report {
  readonly #list: Diagnostic[] = []
  readonly #seen = new Set<string>()
  /** Directives, lower-case, whose errors the user takes upon himself. */
  readonly #allowed: ReadonlySet<string>

  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed.map(name => name.toLowerCase()))
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#list
  }

  get failed(): boolean {
    return this.#list.some(({ severity }) => severity === 'error')
  }

  /** A line that is wrong, in httpd too where `httpd` says so. */
  error(place: Place, directive: string, message: string, remark: Remark = {}): void {
    this.#add('error', place, directive, message, remark)
  }

  /** A line that is right in httpd and that we cannot honour: an error unless the directive is allowed by name. */
  refuse(place: Place, directive: string, message: string, remark: Remark = {}): void {
    if (this.#allowed.has(directive.replace(/^</, '').toLowerCase())) {
      this.#add('ignored', place, directive, `${message} (allowed)`, remark)
    } else this.#add('error', place, directive, message, remark)
  }

  warn(place: Place, directive: string, message: string, remark: Remark = {}): void {
    this.#add('warning', place, directive, message, remark)
  }

  ignore(place: Place, directive: string, message: string): void {
    this.#add('ignored', place, directive, message, {})
  }

  #add(severity: Severity, place: Place, directive: string, message: string, { expected, httpd, at }: Remark): void {
    const key = `${place.file}\0${place.line}\0${directive}\0${message}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const { file, line, text } = place
    const found = at === undefined || at === '' ? -1 : (text.split('\n', 1)[0] ?? '').indexOf(at)
    const column = found === -1 ? place.column : found + 1
    this.#list.push({ severity, file, line, column, text, directive, message, expected, httpd })
  }
}
