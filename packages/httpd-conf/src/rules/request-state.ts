import type { IncomingMessage } from 'node:http'
import type { HeaderList } from '@ws-tunnel/core'
import type { Environment } from './environment.ts'
import { pathOf } from './request-path.ts'
import type { RewriteState } from './rewrite-variables.ts'

/** A request as expressions outside of mod_rewrite see it. */
export function stateOf(req: IncomingMessage, env: Environment, response?: HeaderList): RewriteState {
  const { path, args } = pathOf(req)
  const state = { req, uri: path, filename: path, args, env }
  return response === undefined ? state : { ...state, response }
}
