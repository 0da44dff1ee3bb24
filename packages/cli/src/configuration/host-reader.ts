import type { CompiledHost, CompiledHosts, Diagnostic, PlainDirective } from '@ws-tunnel/httpd-conf'

/** The directive that a diagnostic is about. */
export type Subject = Pick<PlainDirective, 'place' | 'name'>

/** Finds the directives of a host, and collects what is wrong with them. */
export class HostReader {
  readonly main: CompiledHost
  /** Resolves a file name as httpd does, from ServerRoot. */
  readonly absolute: CompiledHosts['absolute']
  readonly #diagnostics: Diagnostic[]

  constructor(main: CompiledHost, absolute: CompiledHosts['absolute'], diagnostics: Diagnostic[]) {
    this.main = main
    this.absolute = absolute
    this.#diagnostics = diagnostics
  }

  /** The last line of the directive in the host, or else in the main server. */
  find({ directives }: CompiledHost, key: string): PlainDirective | undefined {
    const is = (directive: PlainDirective): boolean => directive.key === key
    return directives.findLast(is) ?? this.main.directives.findLast(is)
  }

  /** The lines of one of the directives in the main server and in the host, in this order. */
  all(host: CompiledHost, ...keys: string[]): PlainDirective[] {
    const lines = host === this.main ? host.directives : [...this.main.directives, ...host.directives]
    return lines.filter(({ key }) => keys.includes(key))
  }

  /** Adds a diagnostic once. Several hosts that inherit a line from the main server would report it several times. */
  report(severity: 'error' | 'warning', { place, name }: Subject, message: string, expected?: string): void {
    const isKnown = this.#diagnostics.some(
      each => each.file === place.file && each.line === place.line && each.message === message,
    )
    if (!isKnown) this.#diagnostics.push({ ...place, severity, directive: name, message, expected, httpd: undefined })
  }
}
