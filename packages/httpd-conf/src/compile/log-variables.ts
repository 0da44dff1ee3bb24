import type { IncomingMessage } from 'node:http'
import type { BalancerChoice } from '@ws-tunnel/core'
import type { Server } from '../directives/model.ts'
import { environmentOf } from '../rules/environment.ts'
import { userOf } from '../rules/remote-user.ts'
import { pathOf } from '../rules/request-path.ts'
import { setChoice } from './header-editing.ts'
import { neverMatches, sectionPattern } from './variants.ts'

/**
 * Returns the function that gives the environment variables of a request as httpd has them when it logs the request:
 * those of SetEnvIf, of RewriteRule [E], of SetEnv, of the balancer that selected a member, and REMOTE_USER.
 */
export function logVariables({
  scope,
  locations,
}: Server): (req: IncomingMessage, choice?: BalancerChoice) => ReadonlyMap<string, string> {
  const sections = locations
    .filter(({ scope }) => scope.envRules.length > 0 || scope.setEnv.size > 0)
    .filter(location => !neverMatches(location))
    .map(location => ({ pattern: sectionPattern(location), scope: location.scope }))
  return (req, choice) => {
    const path = sections.length === 0 ? '' : decoded(pathOf(req).path)
    const scopes = [scope, ...sections.filter(({ pattern }) => pattern.test(path)).map(({ scope }) => scope)]
    const env = environmentOf(req, [...new Set(scopes.flatMap(({ envRules }) => envRules))])
    for (const { setEnv } of scopes.toReversed())
      for (const [name, value] of setEnv) if (!env.has(name)) env.set(name, value)
    if (choice !== undefined) setChoice(choice, env)
    const user = userOf(req)
    if (user !== undefined) env.set('REMOTE_USER', user)
    return env
  }
}

/** A malformed escape stays as it is, because the request is logged anyway. */
const decoded = (path: string): string =>
  path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
