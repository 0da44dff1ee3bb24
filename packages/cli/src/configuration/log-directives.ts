import type { CompiledHost, PlainDirective } from '@ws-tunnel/httpd-conf'
import { compileErrorFormat, type ErrorFormat, LEVELS } from '../logs/error-format.ts'
import { defaultErrorFormat } from '../logs/error-log.ts'
import { compileFormat, DEFAULT_FORMAT, type LogFormat, NICKNAMES } from '../logs/log-format.ts'
import type { HostReader } from './host-reader.ts'

/** One access log of a host. */
export interface AccessLogSettings {
  /** An absolute name; `undefined` is standard output. */
  readonly file: string | undefined
  readonly format: LogFormat
  /** `env=NAME`: a request has a line only if the variable is set, or with `!` only if it is not set. */
  readonly variable: { readonly name: string; readonly isSet: boolean } | undefined
}

/** The error log of a host. */
export interface ErrorLogSettings {
  /** An absolute name; `undefined` is standard error. */
  readonly file: string | undefined
  readonly level: string
  readonly format: ErrorFormat
}

const defaultFormat = compileFormat(DEFAULT_FORMAT) as LogFormat

/** CustomLog, TransferLog and LogFormat of a host. A host with own logs does not write to those of the main server. */
export function readAccessLogs(reader: HostReader, host: CompiledHost): AccessLogSettings[] {
  const isLog = ({ key }: PlainDirective): boolean => key === 'customlog' || key === 'transferlog'
  const own = host.directives.filter(isLog)
  const lines = own.length > 0 ? own : reader.main.directives.filter(isLog)
  const formats = reader.all(host, 'logformat')
  for (const format of formats) compile(reader, format.words[0] ?? '', format)
  for (const global of reader.all(host, 'globallog'))
    reader.report(
      'warning',
      global,
      'GlobalLog is not written',
      'CustomLog in the main server and in each virtual host',
    )
  if (lines.length === 0) return [{ file: undefined, format: defaultFormat, variable: undefined }]
  return lines.map(line => ({
    file: fileOf(reader, line),
    format: formatOf(reader, line, formats),
    variable: variableOf(reader, line),
  }))
}

function compile(reader: HostReader, text: string, at: PlainDirective): LogFormat {
  const format = compileFormat(text)
  if (typeof format === 'string') {
    reader.report('error', at, format)
    return defaultFormat
  }
  if (format.unsupported.length > 0) reader.report('warning', at, `written as "-": ${format.unsupported.join(' ')}`)
  return format
}

function formatOf(reader: HostReader, line: PlainDirective, formats: readonly PlainDirective[]): LogFormat {
  if (line.key === 'transferlog') {
    const last = formats.findLast(({ words }) => words.length === 1)
    return compile(reader, last?.words[0] ?? (NICKNAMES['common'] as string), last ?? line)
  }
  const [, text = DEFAULT_FORMAT] = line.words
  const named = formats.findLast(({ words: [, name] }) => name?.toLowerCase() === text.toLowerCase())
  if (named !== undefined) return compile(reader, named.words[0] ?? '', named)
  return compile(reader, NICKNAMES[text.toLowerCase()] ?? text, line)
}

/** The file of a log. */
function fileOf(reader: HostReader, line: PlainDirective): string | undefined {
  const [name = ''] = line.words
  if (name.startsWith('|')) {
    const expected = 'a file, which logrotate can rotate: SIGUSR1 opens it again'
    reader.report('error', line, `${line.name}: a log cannot be piped to a program`, expected)
    return undefined
  }
  if (/^(?:syslog|journald)(?::|$)/i.test(name)) {
    const expected = 'a file, or no line: the log then goes to standard output and error, which systemd collects'
    reader.report('error', line, `${line.name}: ${name} is not supported`, expected)
    return undefined
  }
  return reader.absolute(name)
}

function variableOf(reader: HostReader, line: PlainDirective): AccessLogSettings['variable'] {
  const [, , condition] = line.words
  if (line.key !== 'customlog' || condition === undefined) return undefined
  const [, not, name] = /^env=(!?)(.+)$/i.exec(condition) ?? []
  if (name !== undefined) return { name, isSet: not === '' }
  const isExpression = /^expr=/i.test(condition)
  reader.report(
    'error',
    line,
    isExpression ? 'expr= is not supported in CustomLog' : 'error in condition clause',
    'env=NAME or env=!NAME',
  )
  return undefined
}

/** ErrorLog, ErrorLogFormat and LogLevel of a host. */
export function readErrorLog(reader: HostReader, host: CompiledHost): ErrorLogSettings {
  const line = reader.find(host, 'errorlog')
  return {
    file: line === undefined ? undefined : fileOf(reader, line),
    level: levelOf(reader, host),
    format: errorFormatOf(reader, host),
  }
}

function errorFormatOf(reader: HostReader, host: CompiledHost): ErrorFormat {
  let format = defaultErrorFormat
  for (const line of reader.all(host, 'errorlogformat')) {
    const [first = '', second] = line.words
    if (second !== undefined) {
      reader.report('warning', line, `lines for each ${first} are not written`)
      continue
    }
    const compiled = compileErrorFormat(first)
    if (typeof compiled === 'function') format = compiled
    else reader.report('error', line, compiled.problem)
  }
  return format
}

function levelOf(reader: HostReader, host: CompiledHost): string {
  const directive = reader.find(host, 'loglevel')
  if (directive === undefined) return 'warn'
  const level = directive.words.find(word => !word.includes(':'))?.toLowerCase() ?? 'warn'
  if ((LEVELS as readonly string[]).includes(level)) return level
  reader.report('error', directive, `unknown level ${level}`, LEVELS.slice(0, 8).join(', '))
  return 'warn'
}
