import type { Directive } from '../syntax/parser.ts'
import { splitWords } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers, serverOnly, take1 } from './directive-kit.ts'
import type { RequestLimit, Server } from './model.ts'

/** Why a line of a standalone server is left out of the options. */
const STANDALONE = 'your server does this; `ws-tunnel run` honours it'

/** Directives that only a server can honour, which is not an app. */
const STANDALONE_DIRECTIVES = `User Group PidFile GracefulShutdownTimeout KeepAlive KeepAliveTimeout MaxKeepAliveRequests
  RequestReadTimeout SSLProtocol SSLCipherSuite SSLHonorCipherOrder SSLSessionTickets SSLOpenSSLConfCmd SSLCACertificateFile
  SSLCARevocationFile SSLCARevocationCheck Protocols ProtocolsHonorOrder H2WebSockets H2WindowSize H2MaxSessionStreams`

/** Directives that limit which requests a server accepts, and those of a server that is not an app. */
export const SERVER_LIMITS: Handlers = {
  limitrequestline: limit('LimitRequestLine'),
  limitrequestfields: limit('LimitRequestFields'),
  limitrequestfieldsize: limit('LimitRequestFieldSize'),
  stricthostcheck: serverOnly(onOff('strictHost')),
  sslstrictsnivhostcheck: serverOnly(onOff('strictSni')),
  sslvhostsnipolicy: serverOnly(
    take1('SSL VHost SNI compatibility policy', (value, directive, { server, report }) => {
      const policy = value.toLowerCase()
      if (policy === 'strict') server.sameSni = true
      else if (/^(?:secure|authonly|insecure)$/.test(policy))
        report.ignore(directive, 'hosts with different certificates are never mixed')
      else report.fail(directive, `SSLVHostSNIPolicy: Invalid argument '${value}'`, { at: value })
    }),
  ),
  traceenable: serverOnly(
    take1(
      "'on' (default), 'off' or 'extended' to trace request body content",
      (value, directive, { server, report }) => {
        if (!/^(?:on|off|extended)$/i.test(value))
          report.fail(directive, "TraceEnable must be one of 'on', 'off', or 'extended'", { at: value })
        else server.trace = !/^off$/i.test(value)
      },
    ),
  ),
  httpprotocoloptions: serverOnly(protocolOptions),
  sslfips: serverOnly(
    flag((on, { report }, directive) => {
      if (on)
        report.refuse(directive, 'FIPS mode is a matter of how Node is started', { expected: 'node --force-fips' })
    }),
  ),
  sslengine: (directive, { server, report }) => {
    server.hasTls = /^on$/i.test(directive.args.trim())
    report.ignore(directive, 'your server terminates the TLS of clients')
  },
  ssloptions: (directive, { report }) => {
    const fake = splitWords(directive.args).find(word => /^\+?fakebasicauth$/i.test(word))
    if (fake === undefined) report.ignore(directive, 'it tunes something that Node manages')
    else report.refuse(directive, `${fake} is not supported`, { at: fake })
  },
  options: (directive, { report, scope }) => {
    const words = splitWords(directive.args).map(word => word.toLowerCase())
    for (const word of words) {
      const [, sign = '', name = ''] = /^([+-]?)(.*)$/.exec(word) ?? []
      const isLink = /^(?:followsymlinks|symlinksifownermatch|all)$/.test(name)
      if (sign === '-' && isLink) scope.followsLinks = false
      else if (sign !== '-' && isLink) scope.followsLinks = true
      else if (sign === '')
        scope.followsLinks = words.some(each => /^\+?(?:followsymlinks|symlinksifownermatch|all)$/.test(each))
    }
    report.ignore(directive, 'it concerns files and requests that are not proxied, which your app handles')
  },
  allowconnect: (directive, { report }) => report.ignore(directive, 'there is no forward proxy'),
  ...Object.fromEntries(
    STANDALONE_DIRECTIVES.split(/\s+/).map((name): [string, Handler] => [name.toLowerCase(), serverOnly(standalone)]),
  ),
}

function standalone(directive: Directive, { server, report }: Context): undefined {
  if (directive.args.trim() === '') return report.error(directive, `${directive.name} takes one argument`)
  const { key } = directive
  // Of this directive each line sets a part.
  const name = /^(?:sslopensslconfcmd|sslciphersuite)$/.test(key)
    ? `${key} ${splitWords(directive.args)[0]?.toLowerCase()}`
    : key
  server.standalone.set(name, directive)
  report.ignore(directive, STANDALONE)
}

/** httpd: set_limit_req_line, set_limit_req_fields, set_limit_req_fieldsize. */
function limit(name: string): Handler {
  const key = name.toLowerCase() as RequestLimit
  return serverOnly(
    take1('Limit on requests', (value, directive, { server, report }) => {
      const number = Number.parseInt(value, 10) || 0
      if (number < 0)
        report.fail(directive, `${name.replace('FieldSize', 'Fieldsize')} "${value}" must be a non-negative integer`, {
          at: value,
        })
      else server.limits.set(key, number)
    }),
  )
}

function onOff(key: 'strictHost' | 'strictSni'): Handler {
  return flag((on, { server }) => {
    server[key] = on satisfies Server[typeof key]
  })
}

/** httpd: set_http_protocol_options. */
function protocolOptions(directive: Directive, { server, report }: Context): void {
  for (const word of splitWords(directive.args)) {
    const option = word.toLowerCase()
    if (option === 'registeredmethods') server.registeredMethods = true
    else if (option === 'lenientmethods') server.registeredMethods = false
    else if (option === 'unsafe') {
      server.unsafeHeads = true
      report.ignore(directive, "Node's parser of requests is always strict")
    } else if (option === 'strict') server.unsafeHeads = false
    else if (!/^(?:allow0\.9|require1\.0)$/.test(option))
      report.fail(
        directive,
        "HttpProtocolOptions accepts 'Unsafe' or 'Strict' (default), 'RegisteredMethods' or 'LenientMethods' (default), and 'Require1.0' or 'Allow0.9' (default)",
        { at: word },
      )
  }
}
