import type { IncomingMessage } from 'node:http'
import { checkSpelling, checkVersion } from '../client/request-checks.ts'
import { RequestUrl } from '../http/path.ts'
import type { PathSpelling } from '../http/percent-encoding.ts'
import type { Settings } from '../options/options.ts'
import type { HandleContext } from '../options/tunnel-proxy.ts'

/** What the proxy reads of a request before a route is tried. */
export interface ReadTarget {
  readonly url: RequestUrl
  /** Host and port of an absolute-form request target. */
  readonly authority: string | undefined
}

/** How the path of the request may be spelled. */
export function spellingOf(req: RoutedRequest, context: HandleContext, settings: Settings): PathSpelling {
  const isRouted = req.originalUrl !== undefined || context.mount !== undefined || context.url !== undefined
  return settings.paths ?? context.paths ?? (isRouted ? 'exact' : 'normalise')
}

/** Express, Connect and Fastify keep here what the client sent when they change `url`. */
type RoutedRequest = IncomingMessage & { readonly originalUrl?: string }

/**
 * Reads the request target. Both what the client sent and what the app made of it are checked: the app's guards see one or
 * the other.
 *
 * @throws {WsTunnelError} `WST_ERR_HTTP_VERSION`, and `WST_ERR_PATH_SPELLING` unless spellings are normalised.
 */
export function readTarget(req: RoutedRequest, context: HandleContext, settings: Settings): ReadTarget {
  checkVersion(req)
  const sent = req.originalUrl ?? req.url ?? '/'
  const { mount = '', url = req.url ?? '/' } = context
  const spelling = spellingOf(req, context, settings)
  if (spelling === 'exact') {
    const { mergeSlashes } = settings.decoding
    const whole = mount + url
    checkSpelling(sent, mergeSlashes)
    if (whole !== sent) checkSpelling(whole, mergeSlashes)
  }
  const target = new RequestUrl(url, spelling)
  return {
    url: target,
    authority: target.authority ?? (sent.startsWith('/') ? undefined : new RequestUrl(sent).authority),
  }
}
