import type { Report } from '../diagnostics.ts'
import { hostNameTest } from '../syntax/host-name.ts'
import { mergeServers, type Server, type VirtualHost } from './model.ts'
import type { Servers } from './reader.ts'

/**
 * Merges the virtual host of a name over the main server. Without a name, the only virtual host is chosen, or the main
 * server if there is none.
 */
export function chooseServer({ main, hosts }: Servers, name: string | undefined, report: Report): Server {
  const [first, second] = hosts
  if (first === undefined) return main
  if (second === undefined && name === undefined) return mergeServers(main, first.server)
  const matching = hosts.filter(host => name !== undefined && namesOf(host).some(own => hostNameTest(own)(name)))
  const [chosen] = matching
  if (chosen === undefined) {
    const all = hosts.map(host => namesOf(host)[0] ?? `line ${host.place.line}`).join(', ')
    const message =
      name === undefined
        ? 'there are several virtual hosts: name one with the option `serverName`'
        : `no virtual host is named ${name}`
    report.error({ name: '<VirtualHost', place: first.place }, message, { expected: `one of ${all}` })
    return main
  }
  if (matching.length > 1)
    report.warn(
      { name: '<VirtualHost', place: chosen.place },
      `${matching.length} virtual hosts are named ${name}: the first is compiled, because ports are not compared`,
    )
  return mergeServers(main, chosen.server)
}

const namesOf = ({ server: { serverName, names } }: VirtualHost): string[] => [
  ...(serverName === undefined ? [] : [serverName]),
  ...names,
]
