import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { type RouteOptions, WsTunnelError } from '@ws-tunnel/core'
import type { RequestLimit, Server } from '../directives/model.ts'
import { fieldLinesOf, fieldOf, isTls } from '../rules/request.ts'
import { hostNameTest, isStrictHost } from '../syntax/host-name.ts'
import type { RouteContext } from './context.ts'

/** A check of a request: the error with which it is refused. */
type Check = (req: IncomingMessage) => WsTunnelError | undefined

/** The methods that httpd knows. httpd: ap_method_registry_init. */
const REGISTERED = `GET HEAD PUT POST DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK
  VERSION-CONTROL CHECKOUT UNCHECKOUT CHECKIN UPDATE LABEL REPORT MKWORKSPACE MKACTIVITY BASELINE-CONTROL MERGE`.split(
  /\s+/,
)

const badRequest = (detail: string): WsTunnelError => new WsTunnelError('WST_ERR_BAD_REQUEST', { detail })

const refused = (statusCode: number, detail: string): WsTunnelError =>
  new WsTunnelError('WST_ERR_ACCESS', { statusCode, detail })

/** The limits of httpd where no line sets them. */
const DEFAULTS = new Map<RequestLimit, number>([
  ['limitrequestline', 8_190],
  ['limitrequestfields', 100],
  ['limitrequestfieldsize', 8_190],
])

/**
 * What a server that is not an app checks of each head, in addition to the lines of its configuration: httpd's limits where no
 * line sets them, and the Host field.
 */
export function compileHeadCheck({ limits, unsafeHeads = false }: Server): Check {
  const missing = [...DEFAULTS].filter(([key]) => !limits.has(key))
  const checks = headChecks(new Map(missing))
  if (!unsafeHeads)
    checks.push(req => {
      const host = fieldOf(req, 'host')
      return host === undefined || isStrictHost(host) ? undefined : badRequest(`the Host "${host}" is malformed`)
    })
  return firstOf(checks)
}

/** The first error that one of the checks finds. */
const firstOf =
  (checks: readonly Check[]): Check =>
  req => {
    for (const check of checks) {
      const error = check(req)
      if (error !== undefined) return error
    }
    return undefined
  }

/** The checks of LimitRequestLine, LimitRequestFields and LimitRequestFieldSize. */
function headChecks(limits: ReadonlyMap<RequestLimit, number>): Check[] {
  const checks: Check[] = []
  const line = limits.get('limitrequestline')
  if (line !== undefined)
    checks.push(({ method = '', url = '' }) => {
      const length = method.length + url.length + ' '.length + ' HTTP/1.1'.length
      // httpd lets one more byte pass.
      return length > line + 1
        ? new WsTunnelError('WST_ERR_PATH_TOO_LONG', { detail: `a request line of more than ${line} bytes` })
        : undefined
    })
  const fields = limits.get('limitrequestfields') ?? 0
  if (fields > 0)
    checks.push(({ rawHeaders }) =>
      rawHeaders.length / 2 > fields ? badRequest(`more than ${fields} header fields`) : undefined,
    )
  const size = limits.get('limitrequestfieldsize')
  if (size !== undefined)
    checks.push(req => {
      // Where all fields together are short enough, each one is.
      if (req.rawHeaders.reduce((sum, { length }) => sum + length + 2, 0) <= size) return undefined
      // httpd joins the lines of a field, and lets one more byte pass.
      const lengths = new Map<string, number>()
      for (const [name, value] of fieldLinesOf(req)) {
        const lower = name.toLowerCase()
        const length = (lengths.get(lower) ?? name.length) + 2 + value.length
        if (length > size + 1) return badRequest(`the field ${name} has more than ${size} bytes`)
        lengths.set(lower, length)
      }
      return undefined
    })
  return checks
}

/** The limits that a configuration sets on the head of requests; `undefined` if it sets none. The route comes before all others. */
export function compileLimits({ server }: RouteContext): RouteOptions | undefined {
  const checks = headChecks(server.limits)
  if (server.registeredMethods)
    checks.push(({ method = '' }) =>
      REGISTERED.includes(method)
        ? undefined
        : new WsTunnelError('WST_ERR_NOT_IMPLEMENTED', { detail: `method ${method}` }),
    )
  if (server.trace === false)
    checks.push(({ method }) => (method === 'TRACE' ? refused(405, 'TraceEnable off') : undefined))
  if (server.strictHost) {
    const tests = [...(server.serverName === undefined ? [] : [server.serverName]), ...server.names].map(hostNameTest)
    checks.push(req => {
      const host = hostOf(req)
      return tests.some(test => test(host)) ? undefined : badRequest(`the host ${host} is not one of this server`)
    })
  }
  if (server.strictSni)
    checks.push(req => (isTls(req) && sniOf(req) === '' ? refused(403, 'the client sent no server name') : undefined))
  if (server.sameSni)
    checks.push(req =>
      isTls(req) && sniOf(req) !== '' && sniOf(req) !== hostOf(req)
        ? refused(421, 'the server name of TLS is not the Host')
        : undefined,
    )
  if (checks.length === 0) return undefined
  const errorOf = firstOf(checks)
  return {
    name: 'limits of requests',
    path: /^/,
    mapping: 'encoded',
    mergeSlashes: server.mergeSlashes ?? true,
    when: [{ test: req => errorOf(req) !== undefined }],
    target: req => {
      throw errorOf(req)
    },
    upgrade: false,
    fallback: true,
  }
}

const hostOf = (req: IncomingMessage): string =>
  (fieldOf(req, 'host') ?? '').toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')

const sniOf = ({ socket }: IncomingMessage): string =>
  String((socket as TLSSocket & { servername?: string }).servername || '')
