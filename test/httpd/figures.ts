import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { type Apache, startApache } from './apache.ts'
import { ask, Backends, type Outcome, type Row, startOurs } from './compare.ts'
import { DEVIATIONS } from './deviations.ts'

/** Rows by configuration, each a virtual host. */
function hostsOf(rows: readonly Row[]): Map<string, Row[]> {
  const hosts = new Map<string, Row[]>()
  for (const row of rows) hosts.set(row.conf, [...(hosts.get(row.conf) ?? []), row])
  return hosts
}

/** How a comparison came out, in rows. */
export interface Figures {
  compared: number
  equal: number
  /** By name of the deviation. */
  deviating: Map<string, number>
  /** Not compiled, by reason. */
  refused: Map<string, number>
  /** What no listed deviation explains: the configuration, the request and both outcomes. */
  different: string[]
}

/** Sends every row to a real httpd and to us, each with its configuration. */
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
      const text = `<VirtualHost *:80>\nServerName ${host}\n${conf}\n</VirtualHost>`
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
          const theirs = await ask(backends, apache.port, row, host)
          const own = await ask(backends, ours.port, row, host)
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

/** All rows of a map by reason. */
export const count = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)
