import type { Server } from 'node:http'
import type { TestContext } from 'node:test'
import { listenForUpgrades } from '../../../packages/core/src/client/listener.ts'
import type { WsTunnelError } from '../../../packages/core/src/errors.ts'
import { RequestUrl } from '../../../packages/core/src/http/path.ts'
import { resolveOptions, type WsTunnelOptions } from '../../../packages/core/src/options/options.ts'
import type { Decision } from '../../../packages/core/src/proxy/decide.ts'
import { Exchange } from '../../../packages/core/src/proxy/exchange.ts'
import type { Candidates } from '../../../packages/core/src/routing/candidates.ts'
import { type Match, RouteTable } from '../../../packages/core/src/routing/route-table.ts'
import { startServer } from '../../support/server.ts'

export interface Exchanges {
  server: Server
  port: number
  routes: RouteTable
  /** What the function threw, in order. */
  errors: WsTunnelError[]
}

/**
 * A server that begins an exchange for each request and gives it to the function. A failure of the function becomes the
 * response, and the exchange is released at the end, as a proxy does.
 */
export async function startExchanges(
  t: TestContext,
  options: WsTunnelOptions,
  use: (exchange: Exchange) => unknown,
  body?: unknown,
): Promise<Exchanges> {
  const settings = resolveOptions(options)
  const routes = new RouteTable(settings, options.routes === undefined)
  t.after(() => routes.close())
  const errors: WsTunnelError[] = []
  const { server, port } = await startServer(t, async (req, res) => {
    const target = req.url as string
    const url = new RequestUrl(target)
    const match = routes.match(req, url) as Match
    const context = { mount: '', target, authority: url.authority, body, rawBody: undefined }
    const exchange = new Exchange(req, res, match, settings, context)
    try {
      await use(exchange)
    } catch (error) {
      errors.push(error as WsTunnelError)
      res.statusCode = (error as WsTunnelError).statusCode ?? 500
      res.end()
    } finally {
      exchange.release()
    }
  })
  listenForUpgrades(server, (...pair) => void server.emit('request', ...pair))
  return { server, port, routes, errors }
}

/** The backends of a request that goes to one. */
export function candidatesOf(decision: Decision): Candidates {
  if (!('candidates' in decision)) throw new Error(`goes to no backend: ${decision.kind}`)
  return decision.candidates
}
