import type { Diagnostic } from '@ws-tunnel/httpd-conf'
import { type Configuration, hostsOf, type Listen, type Loaded, listensOf, nameOf } from './configuration.ts'
import { logError } from './error-log.ts'
import { adopt, Gateway } from './gateway.ts'

/** What `ws-tunnel run` is told. */
export interface RunOrder {
  /** Reads the file, each time anew. */
  readonly load: () => Loaded
  readonly text: (diagnostics: readonly Diagnostic[]) => string
  /** Serve the virtual host of this name alone. */
  readonly serverName: string | undefined
  /** Instead of the file's Listen lines. */
  readonly listens: readonly Listen[]
  /** ms. */
  readonly drainTimeout: number
}

/** Serves until SIGTERM or SIGINT; gives the exit code. */
export async function run(order: RunOrder): Promise<number> {
  const first = read(order)
  if ('problem' in first) {
    process.stderr.write(first.problem)
    return 1
  }
  process.stderr.write(first.remarks)
  const gateway = new Gateway(first.configuration)
  try {
    announce(gateway, await gateway.listen(first.listens))
  } catch (error) {
    logError(gateway.logLevel, 'error', `could not listen: ${(error as Error).message}`)
    await gateway.close(0)
    return 1
  }

  // Who reads the logs may leave; the tunnels need not.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  // One after the other: a reload takes its time to listen.
  let reloading = Promise.resolve()
  const onReload = (): void => {
    reloading = reloading.then(() => reload(gateway, order))
  }
  process.on('SIGHUP', onReload)
  const signal = await new Promise<string>(resolve => {
    // A second signal must not end what the first one lets go on: Ctrl-C often comes twice.
    process.on('SIGTERM', resolve)
    process.on('SIGINT', resolve)
  })
  process.off('SIGHUP', onReload)
  process.on('SIGHUP', () => {})
  logError(gateway.logLevel, 'notice', `caught ${signal}, draining`)
  await reloading
  await gateway.close(order.drainTimeout)
  logError(gateway.logLevel, 'notice', 'drained, ending')
  return 0
}

type Ready = { configuration: Configuration; listens: readonly Listen[]; remarks: string }

/** A configuration that can serve, or what speaks against it. */
function read({ load, text, serverName, listens }: RunOrder): Ready | { problem: string } {
  const { configuration: whole, diagnostics, own } = load()
  const all = [...diagnostics, ...own]
  if (whole === undefined) return { problem: text(all.filter(({ severity }) => severity === 'error')) }
  const configuration = serverName === undefined ? whole : only(whole, serverName)
  if (configuration === undefined) return { problem: `ws-tunnel: no virtual host is named ${serverName}\n` }
  const wanted = listens.length > 0 ? listens.map(listen => adopt(configuration, listen)) : listensOf(configuration)
  if (wanted.length === 0) {
    return {
      problem: 'ws-tunnel: no listening sockets available: the file has no Listen line, so --listen is needed\n',
    }
  }
  for (const { port, servedAs } of wanted) {
    const secure = new Set(hostsOf(configuration, servedAs).map(({ tls }) => tls !== undefined))
    if (secure.size > 1) {
      return {
        problem: `ws-tunnel: the virtual hosts of port ${servedAs ?? port} must all have SSLEngine On, or none\n`,
      }
    }
  }
  return { configuration, listens: wanted, remarks: text(all.filter(({ severity }) => severity === 'warning')) }
}

/** One virtual host, whatever the name a client asks for. */
function only(configuration: Configuration, name: string): Configuration | undefined {
  if (configuration.hosts.length === 0) return configuration
  const found = configuration.hosts.filter(host => host.answersTo(nameOf(name)))
  return found.length === 0 ? undefined : { ...configuration, hosts: found }
}

async function reload(gateway: Gateway, order: RunOrder): Promise<void> {
  const refuse = (why: string): void =>
    logError(gateway.logLevel, 'error', `the configuration was not reloaded, the old one stays: ${why}`)
  try {
    const next = read(order)
    if ('problem' in next) {
      refuse('it has errors')
      process.stderr.write(next.problem)
      return
    }
    process.stderr.write(next.remarks)
    announce(gateway, await gateway.replace(next.configuration, next.listens))
    logError(gateway.logLevel, 'notice', 'the configuration was reloaded')
  } catch (error) {
    refuse((error as Error).message)
  }
}

function announce(gateway: Gateway, urls: readonly string[]): void {
  for (const url of urls) logError(gateway.logLevel, 'notice', `listening on ${url}`)
}
