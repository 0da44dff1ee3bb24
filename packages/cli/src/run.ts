import { descriptorLimit, tunnelsLeft } from '@ws-tunnel/core'
import type { Loaded } from './configuration.ts'
import { diagnosticsText, isError } from './diagnostics-text.ts'
import { logError } from './error-log.ts'
import { Gateway } from './gateway.ts'
import { type Configuration, hostName, hostsOfPort, type Listen, listenFor, listensOf } from './virtual-hosts.ts'

/** Settings of {@link run}. */
export interface RunSettings {
  /** Reads the configuration. `run` calls it at the start and at every SIGHUP. */
  readonly load: () => Loaded
  /** Serves only the virtual host with this name. */
  readonly serverName: string | undefined
  /** Addresses that replace the file's Listen lines, if there are any. */
  readonly listens: readonly Listen[]
  /** The time that open tunnels have after SIGTERM or SIGINT, ms. */
  readonly drainTimeout: number
}

/** `ws-tunnel run`: serves until SIGTERM or SIGINT, and resolves to the exit code. */
export async function run(settings: RunSettings): Promise<number> {
  // A full disk, or a reader of the logs that closes its pipe, must not end the tunnels.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const first = read(settings)
  if ('problem' in first) {
    process.stderr.write(first.problem)
    return 1
  }
  process.stderr.write(first.warnings)
  const gateway = new Gateway(first.configuration)
  try {
    announce(gateway, await gateway.listen(first.listens))
    announceLimit(gateway.logLevel)
  } catch (error) {
    logError(gateway.logLevel, 'error', `could not listen: ${(error as Error).message}`)
    await gateway.close(0)
    return 1
  }

  // One reload at a time: a reload waits until its new listeners are open.
  let reloading = Promise.resolve()
  const onReload = (): void => {
    reloading = reloading.then(() => reload(gateway, settings))
  }
  process.on('SIGHUP', onReload)
  const signal = await new Promise<string>(resolve => {
    // These listeners stay, so that a second signal does not end the process. Under npm one Ctrl-C arrives twice.
    process.on('SIGTERM', resolve)
    process.on('SIGINT', resolve)
  })
  process.off('SIGHUP', onReload)
  process.on('SIGHUP', () => {})
  logError(gateway.logLevel, 'notice', `caught ${signal}, draining`)
  await reloading
  await gateway.close(settings.drainTimeout)
  logError(gateway.logLevel, 'notice', 'drained, ending')
  return 0
}

interface Ready {
  readonly configuration: Configuration
  readonly listens: readonly Listen[]
  readonly warnings: string
}

/** Reads a configuration. Returns the text of the problem if it cannot be served. */
function read({ load, serverName, listens }: RunSettings): Ready | { problem: string } {
  const { configuration: whole, diagnostics, serverDiagnostics } = load()
  const all = [...diagnostics, ...serverDiagnostics]
  if (whole === undefined) return { problem: diagnosticsText(all.filter(isError)) }
  const configuration = serverName === undefined ? whole : only(whole, serverName)
  if (configuration === undefined) return { problem: `ws-tunnel: no virtual host is named ${serverName}\n` }
  const wanted = listens.length > 0 ? listens.map(listen => listenFor(configuration, listen)) : listensOf(configuration)
  if (wanted.length === 0) {
    return {
      problem: 'ws-tunnel: no listening sockets available: the file has no Listen line, so --listen is needed\n',
    }
  }
  for (const { port, filePort } of wanted) {
    const secure = new Set(hostsOfPort(configuration, filePort).map(({ tls }) => tls !== undefined))
    if (secure.size > 1) {
      return {
        problem: `ws-tunnel: the virtual hosts of port ${filePort ?? port} must all have SSLEngine On, or none\n`,
      }
    }
  }
  const warnings = diagnosticsText(all.filter(({ severity }) => severity === 'warning'))
  return { configuration, listens: wanted, warnings }
}

/** Reduces a configuration to the virtual hosts with a name. They then serve every Host field. */
function only(configuration: Configuration, name: string): Configuration | undefined {
  if (configuration.hosts.length === 0) return configuration
  const found = configuration.hosts.filter(host => host.isNamed(hostName(name)))
  return found.length === 0 ? undefined : { ...configuration, hosts: found }
}

async function reload(gateway: Gateway, settings: RunSettings): Promise<void> {
  const refuse = (why: string): void =>
    logError(gateway.logLevel, 'error', `the configuration was not reloaded and the old one stays: ${why}`)
  try {
    const next = read(settings)
    if ('problem' in next) {
      refuse('it has errors')
      process.stderr.write(next.problem)
      return
    }
    process.stderr.write(next.warnings)
    announce(gateway, await gateway.replace(next.configuration, next.listens))
    logError(gateway.logLevel, 'notice', 'the configuration was reloaded')
  } catch (error) {
    refuse((error as Error).message)
  }
}

function announceLimit(logLevel: string): void {
  const found = descriptorLimit()
  if (found === null) return
  const text = `${found.limit} descriptors are enough for about ${tunnelsLeft()} tunnels; further clients get 503`
  logError(logLevel, 'notice', text)
}

function announce(gateway: Gateway, urls: readonly string[]): void {
  for (const url of urls) logError(gateway.logLevel, 'notice', `listening on ${url}`)
}
