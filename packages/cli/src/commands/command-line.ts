import { readFileSync } from 'node:fs'
import type { HttpdConf } from '@ws-tunnel/httpd-conf'
import { Argument, Command, Option } from 'commander'
import { load } from '../configuration/configuration.ts'
import type { Listen } from '../configuration/virtual-hosts.ts'
import { readingFrom, UsageError } from '../errors.ts'
import { printable } from '../logs/error-format.ts'
import { collect, readCount, readDefinition, readField, readListen, readPath, readSeconds } from './arguments.ts'
import { type CheckOutput, check } from './check.ts'
import { completionScript } from './completion.ts'
import { explainRequest } from './explain.ts'
import { printHosts } from './hosts.ts'
import { FLAGS_HELP } from './httpd-flags.ts'
import { run } from './run.ts'

type Compat = NonNullable<HttpdConf['compat']>

const VERSIONS: readonly Compat[] = ['2.4.71', '2.4.47', '2.4.46', '2.5']

const EXIT_CODES = `
Exit codes: 0 for success, 1 for a wrong configuration or file, 2 for a wrong command line.`

/** Options that every command takes. */
interface CommonOptions {
  readonly serverName?: string
  readonly compat: Compat
  readonly define?: readonly [name: string, value: string][]
  readonly allow?: readonly string[]
  readonly before?: readonly string[]
  readonly after?: readonly string[]
}

interface ExplainOptions extends CommonOptions {
  readonly header?: readonly [name: string, value: string][]
  readonly from: string
  readonly tls?: boolean
  readonly json?: boolean
}

interface RunOptions extends CommonOptions {
  readonly listen?: readonly Listen[]
  /** Seconds. */
  readonly drain: number
  readonly drainSpread: number
  readonly notice: number
  readonly workers?: number
  readonly manager?: string
  readonly metrics?: string
  readonly health?: string
  readonly handover?: string
  readonly logFormat: 'text' | 'json'
}

/**
 * Builds the program `ws-tunnel`. It throws a `CommanderError` instead of ending the process.
 *
 * @param setExitCode receives the exit code of the command that ran.
 */
export function createProgram(setExitCode: (code: number) => void): Command {
  const program = new Command('ws-tunnel')
    .description('Check, explain and serve the proxy configuration of an Apache httpd.')
    .version(`ws-tunnel ${version()}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(printable(text.replace(/^error: /, 'ws-tunnel: '))) })
    .showHelpAfterError("Try 'ws-tunnel --help'.")
    .addHelpText('after', FLAGS_HELP + EXIT_CODES)

  addCommand(program, 'check', 'print the errors and warnings of a configuration')
    .argument('<file>', 'the configuration; - is standard input')
    .option('-q, --quiet', 'print errors alone')
    .option('--ignored', 'print each ignored line')
    .option('--json', 'print JSON')
    .action((file: string, options: CommonOptions & CheckOutput) =>
      setExitCode(check(file, httpdConf(file, options), options)),
    )

  addCommand(program, 'hosts', 'print where a configuration listens, and its virtual hosts')
    .argument('<file>', 'the configuration')
    .action((file: string, options: CommonOptions) => setExitCode(printHosts(file, httpdConf(file, options))))

  addCommand(program, 'explain', 'show which route a request takes and what the backend receives')
    .argument('<file>', 'the configuration')
    .argument('<method>', 'the method of the request, such as GET')
    .argument('<url>', 'the path of the request, with its query')
    .option('-H, --header <field>', "a header field 'NAME: VALUE' of the request; repeatable", collect(readField))
    .option('--from <address>', 'the address of the client', '127.0.0.1')
    .option('--tls', 'explain a request that arrives over TLS')
    .option('--json', 'print JSON')
    .action(async (file: string, method: string, url: string, options: ExplainOptions, command: Command) => {
      const { header: headers = [], from: remoteAddress, tls: encrypted = false, json = false } = options
      const request = { method, url, headers, remoteAddress, encrypted }
      try {
        setExitCode(await explainRequest(file, httpdConf(file, options), request, json))
      } catch (error) {
        if (error instanceof UsageError) command.error(`error: ${error.message}`)
        throw error
      }
    })

  addCommand(program, 'run', 'serve a configuration: its routes, virtual hosts, TLS and access log')
    .argument('<file>', 'the configuration')
    .addOption(
      new Option(
        '--listen <address>',
        'listen at [HOST:]PORT[=FILEPORT] instead of at the Listen lines of the file; FILEPORT is the port that the' +
          ' virtual hosts name, if it differs from PORT; repeatable',
      ).argParser(collect(readListen)),
    )
    .option('--drain <seconds>', 'time that open tunnels have to end after SIGTERM or SIGINT', readSeconds, 10)
    .option('--drain-spread <seconds>', 'last part of it, in which they are ended one after another', readSeconds, 0)
    .option('--notice <seconds>', 'time from the 503 of --health until nothing more is accepted', readSeconds, 0)
    .option(
      '--manager <path>',
      'serve the manager here, to clients of this machine or of a guarded <Location>',
      readPath,
    )
    .option('--metrics <path>', 'serve metrics for Prometheus here, to the same clients', readPath)
    .option('--handover <path>', 'a unix socket, through which the next process takes listeners and tunnels over')
    .option('--health <path>', 'respond here with 200 while the gateway serves', readPath)
    .option('--workers <number>', 'serve with this number of processes', readCount)
    .addOption(
      new Option('--log-format <format>', 'write the logs in the formats of the file, or as JSON lines')
        .choices(['text', 'json'])
        .default('text'),
    )
    .action(async (file: string, options: RunOptions, command: Command) => {
      if (file === '-') command.error('error: run reads its file again at a reload, so it cannot be standard input')
      const conf = httpdConf(file, options)
      setExitCode(
        await run({
          load: () => readingFrom(file, () => load(conf)),
          serverName: options.serverName,
          listens: options.listen ?? [],
          drainTimeout: options.drain * 1_000,
          drainSpread: options.drainSpread * 1_000,
          noticeTime: options.notice * 1_000,
          workers: options.workers,
          isJson: options.logFormat === 'json',
          handover: options.handover,
          pages: { manager: options.manager, metrics: options.metrics, health: options.health },
        }),
      )
    })
  program
    .command('completion')
    .description('print the script that completes this command line in a shell')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action((shell: 'bash' | 'zsh' | 'fish') => void process.stdout.write(completionScript(program, shell)))
  return program
}

function httpdConf(
  file: string,
  { serverName, compat, define = [], allow = [], before = [], after = [] }: CommonOptions,
): HttpdConf {
  return {
    ...(file === '-' ? { file: 'standard input', text: readFileSync(0, 'utf8'), serverRoot: process.cwd() } : { file }),
    allow,
    before,
    after,
    compat,
    define: Object.fromEntries(define),
    ...(serverName === undefined ? {} : { serverName }),
  }
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

/** Adds a command with the options that every command takes. */
function addCommand(program: Command, name: string, summary: string): Command {
  return program
    .command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .showHelpAfterError(`Try 'ws-tunnel ${name} --help'.`)
    .option('--server-name <name>', 'use only the virtual host with this ServerName or ServerAlias')
    .addOption(new Option('--compat <version>', 'behave as this version of httpd').choices(VERSIONS).default('2.4.71'))
    .option('-D, --define <name>', 'define NAME or NAME=VALUE, as httpd -D does; repeatable', collect(readDefinition))
    .option('--allow <directive>', 'skip a directive instead of refusing it; repeatable', collect(String))
    .option('-C, --before <line>', 'a directive before those of the file; repeatable', collect(String))
    .option('-c, --after <line>', 'a directive after those of the file; repeatable', collect(String))
}
