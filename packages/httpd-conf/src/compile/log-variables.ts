import type { IncomingMessage } from 'node:http'
import type { BalancerChoice } from '@ws-tunnel/core'
import type { Location, Server } from '../directives/model.ts'
import { environmentOf } from '../rules/environment.ts'
import { setChoice } from './header-editing.ts'

/**
 * Returns the function that gives the environment variables of a request as httpd has them when it logs the request:
 * those of SetEnvIf, of RewriteRule [E], of SetEnv, and of the balancer that selected a member.
 */
export function logVariables({
  scope,
  locations,
}: Server): (req: IncomingMessage, choice?: BalancerChoice) => ReadonlyMap<string, string> {
  const withVariables = locations.filter(({ scope }) => scope.envRules.length > 0 || scope.setEnv.size > 0)
  return (req, choice) => {
    const path = withVariables.length === 0 ? '' : pathOf(req)
    const scopes = [scope, ...withVariables.filter(location => isIn(location, path)).map(({ scope }) => scope)]
    const env = environmentOf(req, [...new Set(scopes.flatMap(({ envRules }) => envRules))])
    for (const { setEnv } of scopes.toReversed())
      for (const [name, value] of setEnv) if (!env.has(name)) env.set(name, value)
    if (choice !== undefined) setChoice(choice, env)
    return env
  }
}

/** The decoded path. A malformed escape stays as it is, because the request is logged anyway. */
const pathOf = ({ url = '/' }: IncomingMessage): string =>
  url
    .replace(/^[a-z][\w+.-]*:\/\/[^/?#]*/i, '')
    .replace(/\?.*$/s, '')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\/{2,}/g, '/')

function isIn({ path, regex }: Location, requested: string): boolean {
  if (regex !== undefined) return new RegExp(regex.source, regex.flags).test(requested)
  const prefix = path.replace(/\/$/, '')
  return requested === prefix || requested.startsWith(`${prefix}/`)
}
