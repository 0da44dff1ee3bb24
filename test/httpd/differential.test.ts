import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHttpdConf } from '@ws-tunnel/httpd-conf'
import { peer } from '../support/peers.ts'
import { type Apache, hasApache, startApache } from './apache.ts'
import { ask, Backends, type Outcome, type Row, startOurs } from './compare.ts'
import { DEVIATIONS } from './deviations.ts'
import { generate } from './generate.ts'
import { observed, own } from './rows.ts'

const needsApache = peer('apache2', hasApache)

/** Rows by configuration, each a virtual host. */
function hostsOf(rows: readonly Row[]): Map<string, Row[]> {
  const hosts = new Map<string, Row[]>()
  for (const row of rows) hosts.set(row.conf, [...(hosts.get(row.conf) ?? []), row])
  return hosts
}

/** What is refused with its reason, in rows. */
const NOT_COMPILED = {
  "RewriteRule: a query that replaces the client's is not honoured": 1,
  'RewriteCond: a test of anything but one variable is not honoured': 2,
  'RewriteCond: the variable %{REQUEST_URI} is not honoured': 3,
  'RewriteRule: [P] needs a ws:, wss:, http: or https: URL': 1,
  'RewriteRule: a rule without [P] or [F] changes what later lines see, which is not honoured': 2,
  'RewriteRule: the flag B is not honoured': 2,
  'RewriteRule: the flag E=FOO:$1 is not honoured': 1,
  'RewriteRule: the flag NE is not honoured': 1,
  'RewriteRule: the flag QSD is not honoured': 1,
  'RewriteRule: the flag R is not honoured': 1,
  'RewriteRule: the flag R=301 is not honoured': 2,
  'RewriteRule: the flag UNSAFEALLOW3F is not honoured': 1,
  '<Proxy: balancers are not compiled yet': 35,
  'ProxyPass: interpolate is not honoured': 1,
  'UseCanonicalName: the name the client used stands in rewritten Location fields': 1,
  'SetEnv: the variable force-proxy-request-1.0 is not honoured': 1,
}

interface Figures {
  compared: number
  equal: number
  deviating: Map<string, number>
  refused: Map<string, number>
  different: string[]
}

async function compare(rows: readonly Row[]): Promise<Figures> {
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

const count = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)

test('answers what a real httpd answers, to every request that was ever observed', needsApache, async t => {
  const { compared, equal, deviating, refused, different } = await compare(observed)
  t.diagnostic(`rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}`)
  for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
  for (const [why, rows] of refused) t.diagnostic(`not compiled: ${rows}, ${why}`)
  assert.equal(different.join('\n\n'), '')
  assert.equal(compared, equal + count(deviating))
  assert.deepEqual(Object.fromEntries(refused), NOT_COMPILED)
})

test(
  'answers what a real httpd answers, to paths, sections, fields and upgrades of our own choice',
  needsApache,
  async t => {
    const { compared, equal, deviating, refused, different } = await compare(own)
    t.diagnostic(`rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}`)
    for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
    assert.equal(different.join('\n\n'), '')
    assert.deepEqual(Object.fromEntries(refused), {})
  },
)

test('answers what a real httpd answers, to configurations and requests of chance', needsApache, async t => {
  const seed = Number(process.env['HTTPD_SEED'] ?? 20_261)
  const { compared, equal, deviating, refused, different } = await compare(generate(seed, 300, 8))
  t.diagnostic(
    `rows compared: ${compared}, equal: ${equal}, deliberate deviations: ${count(deviating)}, refused: ${count(refused)}`,
  )
  for (const [name, rows] of deviating) t.diagnostic(`deviation ${name}: ${rows}`)
  for (const [why, rows] of refused) t.diagnostic(`refused: ${rows}, ${why}`)
  assert.equal(different.slice(0, 5).join('\n\n'), '')
  assert.ok(compared >= 2_000, `only ${compared} pairs`)
})
