import type { IncomingMessage } from 'node:http'
import type { Environment } from './environment.ts'
import { pathOf } from './request-path.ts'
import type { RewriteState } from './rewrite-variables.ts'

/** A request as expressions outside of mod_rewrite see it. */
export function stateOf(req: IncomingMessage, env: Environment): RewriteState {
  const { path, args } = pathOf(req)
  return { req, uri: path, filename: path, args, env }
}
