import type { Explanation } from '@ws-tunnel/core'
import { printable } from '../logs/error-format.ts'

/** Formats an explanation for a terminal. */
export function explanationText({ request, rewriting, rewritten, routes, outcome }: Explanation): string {
  const nameOf = (index: number | undefined): string =>
    [`route ${index}`, routes[index ?? -1]?.name].filter(part => part !== undefined).join(', ')
  const width = Math.max(0, ...routes.map(({ path }) => path.length))
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`]
  for (const [name, value] of request.headers) lines.push(`  ${name}: ${value}`)
  if (rewriting.length > 0) lines.push('', ...rewriting)
  if (rewritten !== undefined) lines.push('', `Rewritten to ${rewritten}`)
  lines.push('')
  for (const { index, path, target, tried, matched, reason, captures } of routes) {
    const mark = matched ? '*' : tried ? '-' : ' '
    lines.push(`${mark} ${nameOf(index)}  ${path.padEnd(width)} -> ${target === false ? '!' : target}`)
    lines.push(`    ${matched ? 'matches' : tried ? reason : `not tried: ${reason}`}`)
    if (captures === undefined) continue
    const named = Object.entries(captures.params).map(([name, value]) => [`:${name}`, value])
    const numbered = (sign: string, groups: readonly (string | undefined)[]): (string | undefined)[][] =>
      groups.map((value, i) => [`${sign}${i}`, value])
    for (const [name, value] of [
      ...numbered('$', captures.groups),
      ...numbered('%', captures.conditionGroups),
      ...named,
    ])
      lines.push(`    ${name} = ${value === undefined ? '(nothing)' : JSON.stringify(value)}`)
  }
  lines.push('', ...outcomeLines(outcome, nameOf))
  return `${lines.map(printable).join('\n')}\n`
}

function outcomeLines(outcome: Explanation['outcome'], nameOf: (index: number | undefined) => string): string[] {
  if (outcome.kind === 'app') return [`Not proxied: ${outcome.reason}.`]
  if (outcome.kind === 'respond') {
    const where = outcome.location === undefined ? '' : `, Location: ${outcome.location}`
    return [`Response of ${nameOf(outcome.route)}: ${outcome.status}${where}.`]
  }
  if (outcome.kind === 'fallback') {
    const why = outcome.reason === undefined ? '' : ` (${outcome.reason})`
    return [`Plain HTTP${why}, served by the function in the \`fallback\` of ${nameOf(outcome.route)}.`]
  }
  if (outcome.kind === 'refused') {
    const fields = Object.entries(outcome.headers).map(([name, value]) => `  ${name}: ${value}`)
    return [`Refused with ${outcome.statusCode}: ${outcome.message}`, ...fields]
  }
  const { host, port, tls, socketPath, requestLine, headers } = outcome.backend
  const where = `${socketPath === undefined ? `${host}:${port}` : `unix:${socketPath}`}${tls ? ' over TLS' : ''}`
  const how =
    outcome.kind === 'upgrade'
      ? `An upgrade to ${outcome.token}`
      : `Plain HTTP${outcome.reason === undefined ? '' : ` (${outcome.reason})`}`
  const { balancer } = outcome.backend
  const order = balancer && `Balancer ${balancer.name} tries ${balancer.members.join(', then ')}.`
  return [
    `${how}, by ${nameOf(outcome.route)}, to ${where}:`,
    ...(order === undefined ? [] : [order]),
    '',
    `  ${requestLine}`,
    ...headers.map(pair => `  ${pair.join(': ')}`),
  ]
}
