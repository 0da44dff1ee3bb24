#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { explain, WsTunnelError } from '@ws-tunnel/core'
import {
  compileHttpdConf,
  compileVirtualHosts,
  type Diagnostic,
  formatDiagnostic,
  type HttpdConf,
} from '@ws-tunnel/httpd-conf'
import { type Listen, load, nameOf, namesOf } from './configuration.ts'
import { printable } from './error-log.ts'
import { explanationText } from './explain-text.ts'
import { run } from './run.ts'

const HELP = `Usage:
  ws-tunnel check FILE                     read an Apache configuration and say what is wrong in it
  ws-tunnel explain FILE METHOD URL        say what becomes of a request, and what the backend sees
  ws-tunnel run FILE                       serve the file: its virtual hosts, TLS and access log

Every command:
  --server-name NAME    the virtual host of this name alone
  --compat VERSION      as httpd 2.4.71 (default), 2.4.47, 2.4.46 or 2.5 would
  -D NAME[=VALUE]       define a name, as httpd -D does; may be repeated
  --allow DIRECTIVE     leave a directive out that cannot be honoured; may be repeated
  -h, --help            this text
  -V, --version         the version

explain:
  -H 'NAME: VALUE'      a header field of the request; may be repeated
  --from ADDRESS        the client's address (default 127.0.0.1)
  --tls                 the request comes over TLS
  --json                print JSON

run:
  --listen [HOST:]PORT[=FILEPORT]
                        listen here instead of at the file's Listen lines; may be repeated. FILEPORT is the port that
                        the virtual hosts name, where it is another one
  --drain SECONDS       how long open tunnels may go on after SIGTERM or SIGINT (default 10)
`

const COMMON = {
  'server-name': { type: 'string' },
  compat: { type: 'string' },
  define: { type: 'string', short: 'D', multiple: true },
  allow: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/** A command line that cannot be understood. */
class UsageError extends Error {}

/** Something that is wrong outside the command line. */
class Failure extends Error {}

type CommonValues = {
  'server-name'?: string | undefined
  compat?: string | undefined
  define?: string[] | undefined
  allow?: string[] | undefined
}

function confOf(file: string, { 'server-name': serverName, compat, define = [], allow = [] }: CommonValues): HttpdConf {
  const versions = ['2.4.71', '2.4.47', '2.4.46', '2.5']
  if (compat !== undefined && !versions.includes(compat))
    throw new UsageError(`--compat: expected ${versions.join(', ')}, got ${compat}`)
  const pairs = define.map((text): [string, string] => {
    const equals = text.indexOf('=')
    return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)]
  })
  return {
    file,
    allow,
    define: Object.fromEntries(pairs),
    ...(serverName === undefined ? {} : { serverName }),
    ...(compat === undefined ? {} : { compat: compat as NonNullable<HttpdConf['compat']> }),
  }
}

/** The operands of a command, as many as it takes. */
function operands(command: string, positionals: string[], names: readonly string[]): string[] {
  if (positionals.length < names.length) throw new UsageError(`${command}: ${names[positionals.length]} is missing`)
  const extra = positionals[names.length]
  if (extra !== undefined) throw new UsageError(`${command}: unexpected argument '${extra}'`)
  return positionals
}

/** Reads a configuration; a file that cannot be read is no fault of what calls. */
function reading<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code === 'string' && !code.startsWith('ERR_')) throw new Failure(`cannot read ${file}: ${code}`)
    throw error
  }
}

/** All of them, by file and line. */
const text = (diagnostics: readonly Diagnostic[]): string =>
  diagnostics
    .toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
    .map(diagnostic => `${printable(formatDiagnostic(diagnostic))}\n`)
    .join('')

const isError = ({ severity }: Diagnostic): boolean => severity === 'error'

function check(args: string[]): number {
  const { values, positionals } = parseArgs({ args, options: COMMON, allowPositionals: true })
  const [file = ''] = operands('check', positionals, ['FILE'])
  const conf = confOf(file, values)
  const { diagnostics, failed } = reading(file, () => {
    if (conf.serverName !== undefined) {
      const compiled = compileHttpdConf(conf)
      return { diagnostics: compiled.diagnostics, failed: compiled.options === undefined }
    }
    const loaded = load(conf)
    // A configuration for middleware need not have its certificates here.
    const own = loaded.own.map((diagnostic): Diagnostic => ({ ...diagnostic, severity: 'warning' }))
    return { diagnostics: [...loaded.diagnostics, ...own], failed: loaded.diagnostics.some(isError) }
  })
  process.stdout.write(text(diagnostics))
  if (!failed) process.stderr.write('Syntax OK\n')
  return failed ? 1 : 0
}

async function explainCommand(args: string[]): Promise<number> {
  const options = {
    ...COMMON,
    header: { type: 'string', short: 'H', multiple: true },
    from: { type: 'string' },
    tls: { type: 'boolean' },
    json: { type: 'boolean' },
  } as const
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [file = '', method = '', url = ''] = operands('explain', positionals, ['FILE', 'METHOD', 'URL'])
  const headers = (values.header ?? []).map((line): [string, string] => {
    const colon = line.indexOf(':')
    if (colon < 1) throw new UsageError(`-H: expected 'NAME: VALUE', got '${line}'`)
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const conf = confOf(file, values)
  const hostField = headers.find(([name]) => name.toLowerCase() === 'host')?.[1]
  const compiled = reading(file, () =>
    conf.serverName === undefined ? ofHost(conf, hostField) : compileHttpdConf(conf),
  )
  if (compiled.options === undefined) {
    process.stderr.write(text(compiled.diagnostics.filter(isError)))
    return 1
  }
  if (hostField === undefined) headers.unshift(['Host', String(conf.serverName ?? compiled.options.serverName)])
  const request = { method, url, headers, remoteAddress: values.from ?? '127.0.0.1', encrypted: values.tls ?? false }
  try {
    const explanation = await explain(compiled.options, request)
    process.stdout.write(values.json ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation))
    return 0
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`explain: ${error.message}`)
    throw error
  }
}

/** The options of the virtual host that a Host field names, the first one for any other. */
function ofHost(conf: HttpdConf, hostField = ''): Pick<ReturnType<typeof compileHttpdConf>, 'options' | 'diagnostics'> {
  const { servers, diagnostics } = compileVirtualHosts(conf)
  const name = nameOf(hostField)
  const named = servers?.hosts.find(host => namesOf(host)(name))
  return { options: (named ?? servers?.hosts[0] ?? servers?.main)?.options, diagnostics }
}

function readListen(value: string): Listen {
  const match = /^(?:(\[[0-9a-f:.]+\]|[\w.-]+|\*):)?(\d{1,5})(?:=(\d{1,5}))?$/i.exec(value)
  const [, host, port = '', servedAs] = match ?? []
  if (match === null || Number(port) > 65_535 || Number(servedAs ?? 0) > 65_535)
    throw new UsageError(`--listen: expected [HOST:]PORT[=FILEPORT], got ${value}`)
  return {
    id: value,
    host: host === '*' ? undefined : host?.replace(/^\[|\]$/g, ''),
    port: Number(port),
    servedAs: servedAs === undefined ? undefined : Number(servedAs),
  }
}

async function runCommand(args: string[]): Promise<number> {
  const options = {
    ...COMMON,
    listen: { type: 'string', multiple: true },
    drain: { type: 'string' },
  } as const
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [file = ''] = operands('run', positionals, ['FILE'])
  const seconds = Number(values.drain ?? 10)
  if (!(seconds >= 0)) throw new UsageError(`--drain: expected a number of seconds, got ${values.drain}`)
  const conf = confOf(file, values)
  return run({
    load: () => reading(file, () => load(conf)),
    text,
    serverName: values['server-name'],
    listens: (values.listen ?? []).map(readListen),
    drainTimeout: seconds * 1_000,
  })
}

const COMMANDS: Record<string, (args: string[]) => number | Promise<number>> = {
  check,
  explain: explainCommand,
  run: runCommand,
}

async function main([command, ...args]: string[]): Promise<number> {
  const all = command === undefined ? args : [command, ...args]
  const before = all.includes('--') ? all.slice(0, all.indexOf('--')) : all
  if (before.includes('--help') || before.includes('-h')) {
    process.stdout.write(HELP)
    return 0
  }
  if (before.includes('--version') || before.includes('-V')) {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    process.stdout.write(`ws-tunnel ${version}\n`)
    return 0
  }
  if (command === undefined) throw new UsageError('a command is missing: check, explain or run')
  const chosen = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
  if (chosen === undefined)
    throw new UsageError(`unknown ${command.startsWith('-') ? 'option' : 'command'} '${command}'`)
  return chosen(args)
}

/** What went wrong, in one line, and the exit code. */
function failed(error: unknown): number {
  const { code = '', message } = error as NodeJS.ErrnoException
  const usage = error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS')
  if (!usage && !(error instanceof Failure) && !(error instanceof WsTunnelError)) throw error
  process.stderr.write(`ws-tunnel: ${printable(message)}\n`)
  if (usage) process.stderr.write("Try 'ws-tunnel --help'.\n")
  return usage ? 2 : 1
}

main(process.argv.slice(2)).then(
  status => {
    process.exitCode = status
  },
  error => {
    process.exitCode = failed(error)
  },
)
