import type { HttpdConf } from '@ws-tunnel/httpd-conf'
import { load } from '../configuration/configuration.ts'
import { diagnosticsText, isError } from '../configuration/diagnostics-text.ts'
import { type Host, listensOf } from '../configuration/virtual-hosts.ts'
import { readingFrom } from '../errors.ts'
import { printable } from '../logs/error-format.ts'

/**
 * `ws-tunnel -S`: prints where the configuration listens and its virtual hosts, as `httpd -S` does.
 *
 * @returns the exit code.
 * @throws {FileError} when the file cannot be read.
 */
export function printHosts(file: string, conf: HttpdConf): number {
  const { configuration, diagnostics, serverDiagnostics } = readingFrom(file, () => load(conf))
  if (configuration === undefined) {
    process.stderr.write(diagnosticsText([...diagnostics, ...serverDiagnostics].filter(isError)))
    return 1
  }
  const { main, hosts } = configuration
  const lines = [
    'VirtualHost configuration:',
    ...byAddress(hosts).flatMap(([address, own]) => [
      own.length === 1
        ? `${address.padEnd(22)} ${describe(own[0] as Host)}`
        : `${address.padEnd(22)} is a NameVirtualHost`,
      ...(own.length === 1
        ? []
        : own.map((host, i) => `         ${i === 0 ? 'default server' : 'port server   '} ${describe(host)}`)),
    ]),
    `Main server: ${main.serverName}`,
    `Listens at: ${
      listensOf(configuration)
        .map(({ id }) => id)
        .join(', ') || 'nothing: use --listen'
    }`,
  ]
  process.stdout.write(`${printable(lines.join('\n'))}\n`)
  return 0
}

const describe = ({ serverName, tls, place, aliases }: Host): string =>
  `${serverName}${tls === undefined ? '' : ' (TLS)'}${place === undefined ? '' : ` (${place.file}:${place.line})`}${aliases.map(name => ` alias ${name}`).join('')}`

/** The hosts by address, in the order of the file. */
function byAddress(hosts: readonly Host[]): [address: string, hosts: Host[]][] {
  const found = new Map<string, Host[]>()
  for (const each of hosts)
    for (const { host = '*', port = '*' } of each.addresses) {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
      found.set(address, [...(found.get(address) ?? []), each])
    }
  return [...found]
}
