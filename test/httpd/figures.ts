import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { type Apache, startApache } from './apache.ts'
import { Backends, type Outcome, type Row, send, startOurs } from './compare.ts'
import { DEVIATIONS } from './deviations.ts'

/** Groups the rows by configuration. Each configuration becomes a virtual host. */
function hostsOf(rows: readonly Row[]): Map<string, Row[]> {
  const hosts = new Map<string, Row[]>()
  for (const row of rows) hosts.set(row.conf, [...(hosts.get(row.conf) ?? []), row])
  return hosts
}

/** The result of a comparison, in rows. */
export interface Figures {
  compared: number
  equal: number
  /** Rows by the name of their deviation. */
  deviating: Map<string, number>
  /** Rows whose configuration does not compile, by reason. */
  refused: Map<string, number>
  /** Rows that no listed deviation explains, with configuration, request and both outcomes. */
  different: string[]
}

/** Sends each row to a real httpd and to a gateway of ours, both with the row's configuration. */
export async function compareAll(rows: readonly Row[]): Promise<Figures> {
  const figures: Figures = { compared: 0, equal: 0, deviating: new Map(), refused: new Map(), different: [] }
  const backends = await new Backends().listen()
  const substitute = (conf: string): string =>
    conf
      .replace(/:210(60|61)\b/g, (_, name: string) => `:${backends.ports.get(name)}`)
      .replaceAll(`\${ROOT}`, '/nonexistent')
  const byConf = Array.from(hostsOf(rows), ([conf, group], i) => ({
    conf: substitute(conf),
    group,
    host: `h${i}.test`,
  }))
  let apache: Apache | undefined
  try {
    apache = await startApache(new Map(byConf.map(({ host, conf }) => [host, conf])))
    for (const { conf, group, host } of byConf) {
      const text = `DocumentRoot "${apache.root}"\n<VirtualHost *:80>\nServerName ${host}\n${conf}\n</VirtualHost>`
      const { options, diagnostics } = compileHttpdConf({ text })
      if (options === undefined) {
        const why = diagnostics.find(({ severity }) => severity === 'error')
        const key = why === undefined ? '' : `${why.directive}: ${why.message}`
        figures.refused.set(key, (figures.refused.get(key) ?? 0) + group.length)
        continue
      }
      const ours = await startOurs(options)
      try {
        for (const row of group) {
          const theirs = await send(backends, apache.port, row, host)
          const own = await send(backends, ours.port, row, host)
          judge(row, theirs, own, figures)
        }
      } finally {
        await ours.close()
      }
    }
  } finally {
    await apache?.close()
    backends.close()
  }
  return figures
}

function judge(row: Row, httpd: Outcome, ours: Outcome, figures: Figures): void {
  figures.compared++
  const [theirs, own] = [JSON.stringify(httpd), JSON.stringify(ours)]
  const deviation = theirs === own ? undefined : DEVIATIONS.find(({ applies }) => applies(row, httpd, ours))
  if (theirs === own) figures.equal++
  else if (deviation !== undefined)
    figures.deviating.set(deviation.name, (figures.deviating.get(deviation.name) ?? 0) + 1)
  else
    figures.different.push(`${row.id}\n${row.conf}\n${JSON.stringify(row.request)}\n  httpd ${theirs}\n  ours  ${own}`)
}

/** The sum of all rows in such a map. */
export const count = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)
