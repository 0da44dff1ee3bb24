/** The position of a directive. */
export interface Place {
  /** The name of the file, as the caller or an Include gave it. */
  readonly file: string
  /** The first line of the directive, counted from 1. */
  readonly line: number
  /** Counted from 1. */
  readonly column: number
  /** The line as the file has it, with its continuation lines. */
  readonly text: string
}

/**
 * - `error`: the configuration cannot be compiled.
 * - `warning`: the line is compiled, but it does not do what it seems to do.
 * - `ignored`: the line is left out because it is not the task of a proxy middleware.
 */
export type Severity = 'error' | 'warning' | 'ignored'

/** A message about one line. */
export interface Diagnostic extends Place {
  readonly severity: Severity
  /** The directive as written; `''` if the line has none. */
  readonly directive: string
  readonly message: string
  /** What to write instead. */
  readonly expected: string | undefined
  /** The text with which httpd refuses the same line; `undefined` if httpd accepts the line. */
  readonly httpd: string | undefined
}

/** The parts of a diagnostic that are optional. */
export interface Remark {
  expected?: string
  httpd?: string
  /** The word of the line that the column points at. @default the directive */
  at?: string
}

/** Formats a diagnostic as text: position, message, the line and a caret. */
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

/** The error for a configuration that cannot be compiled. */
export class HttpdConfError extends Error {
  readonly code = 'WST_ERR_HTTPD_CONF'
  /** All diagnostics, errors first. */
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error')
    super(errors.map(formatDiagnostic).join('\n'))
    this.name = 'HttpdConfError'
    this.diagnostics = [...errors, ...diagnostics.filter(({ severity }) => severity !== 'error')]
  }
}

/** How a line is left out that is not supported. */
const leftOut = ({ name }: Located): string =>
  `a line that is supported; or --allow ${name.replace(/^</, '')}, if something else does this`

/** A directive as a diagnostic names it. */
export interface Located {
  readonly name: string
  readonly place: Place
}

/**
 * Collects the diagnostics of one compilation. The same message at the same place is kept once. The methods that report
 * an error return `undefined`, so that a function that reads a line can return their result.
 */
export class Report {
  readonly #list: Diagnostic[] = []
  readonly #seen = new Set<string>()
  /** The option `allow`, lower-case. */
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

  /** Reports a wrong line. `remark.httpd` is the text of httpd, if httpd refuses the line too. */
  error(directive: Located, message: string, remark: Remark = {}): undefined {
    this.#add('error', directive, message, remark)
  }

  /** Reports a line that httpd refuses with this text. */
  fail(directive: Located, httpd: string, remark: Remark = {}): undefined {
    this.#add('error', directive, httpd, { httpd, ...remark })
  }

  /** Reports a line that httpd accepts but that is not supported here: an error, unless `allow` names the directive. */
  refuse(directive: Located, message: string, remark: Remark = {}): undefined {
    if (this.isAllowed(directive)) this.#add('ignored', directive, `${message} (allowed)`, remark)
    else this.#add('error', directive, message, { ...remark, expected: remark.expected ?? leftOut(directive) })
  }

  /** Whether `allow` names the directive. */
  isAllowed({ name }: Located): boolean {
    return this.#allowed.has(name.replace(/^</, '').toLowerCase())
  }

  warn(directive: Located, message: string, remark: Remark = {}): void {
    this.#add('warning', directive, message, remark)
  }

  ignore(directive: Located, message: string): void {
    this.#add('ignored', directive, message, {})
  }

  #add(severity: Severity, { name, place }: Located, message: string, { expected, httpd, at }: Remark): void {
    const key = `${place.file}\0${place.line}\0${name}\0${message}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const { file, line, text } = place
    const found = at === undefined || at === '' ? -1 : (text.split('\n', 1)[0] ?? '').indexOf(at)
    const column = found === -1 ? place.column : found + 1
    this.#list.push({ severity, file, line, column, text, directive: name, message, expected, httpd })
  }
}
