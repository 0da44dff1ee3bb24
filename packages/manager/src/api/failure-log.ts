import type { IncomingMessage } from 'node:http'
import type { WsTunnelError } from '@ws-tunnel/core'
import type { Failure } from '../page/types.ts'
import { clip } from '../util/clip.ts'
import { type Proxies, subscribeToProxies } from '../util/proxies.ts'

/** The number of failures that are kept. */
const MAX_FAILURES = 100

type Request = IncomingMessage & { originalUrl?: string }

/** The last requests that failed before the 101, or failed over to another member. */
export class FailureLog {
  readonly stop: () => void
  readonly #showQuery: boolean
  #list: readonly Failure[] = []
  #lastId = 0

  /** @param showQuery Shows queries of URLs. */
  constructor(proxies: Proxies, showQuery: boolean) {
    this.#showQuery = showQuery
    this.stop = subscribeToProxies(proxies, {
      'ws-tunnel:error': ({ error, req }, proxy) => this.#add(proxy, error, req, error.member, ''),
      'ws-tunnel:failover': ({ error, req, from, to }, proxy) => this.#add(proxy, error, req, from.url, to.url),
    })
  }

  /** The newest first. */
  get list(): readonly Failure[] {
    return this.#list
  }

  #add(proxy: string, error: WsTunnelError, req: Request, member: string | undefined, failedOverTo: string): void {
    const url = req.originalUrl ?? req.url ?? ''
    const failure: Failure = {
      id: ++this.#lastId,
      time: Date.now(),
      proxy,
      code: error.code,
      message: clip(this.#withoutQuery(error.message)),
      client: req.socket.remoteAddress ?? '',
      url: clip(this.#withoutQuery(url)),
      route: error.route ?? null,
      member: clip(member ?? error.target ?? ''),
      failedOverTo: clip(failedOverTo),
    }
    this.#list = [failure, ...this.#list.slice(0, MAX_FAILURES - 1)]
  }

  /** Queries often contain credentials. A message may quote one. */
  #withoutQuery(text: string): string {
    return this.#showQuery ? text : text.replace(/\?[^\s"'`]*/g, '?…')
  }
}
