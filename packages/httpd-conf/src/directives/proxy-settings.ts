import { isIP } from 'node:net'
import type { Directive } from '../syntax/parser.ts'
import { atoi, duration } from '../syntax/values.ts'
import { splitWords } from '../syntax/words.ts'
import { type Context, FLAG, flag, type Handler, type Handlers, serverOnly, take1 } from './directive-kit.ts'
import type { Scope } from './model.ts'

/** Directives of mod_proxy and mod_proxy_wstunnel with one setting each, and SSLProxy*. */
export const PROXY_SETTINGS: Handlers = {
  proxypreservehost: flag((on, { scope }) => {
    scope.preserveHost = on
  }),
  proxyaddheaders: flag((on, { scope }) => {
    scope.addHeaders = on
  }),
  proxywebsocketfallbacktoproxyhttp: flag((on, { scope }) => {
    scope.fallback = on
  }),
  proxywebsocketasync: flag((on, context, directive) => {
    context.scope.async = on
    warnOfNextVersion(directive, context)
  }),
  proxywebsocketasyncdelay: timeOfNextVersion('amount of time to poll before going asynchronous', (scope, ms) => {
    scope.asyncDelay = ms
  }),
  proxywebsocketidletimeout: timeOfNextVersion('timeout for activity from either end of a tunnel', (scope, ms) => {
    scope.websocketIdle = ms
  }),
  proxytimeout: serverOnly(
    take1(
      'Set the timeout (in seconds) for a proxied connection. This overrides the server timeout',
      (value, directive, context) => {
        const seconds = atoi(value)
        if (seconds < 1) context.report.fail(directive, 'Proxy Timeout must be at least 1 second.', { at: value })
        else context.server.proxyTimeout = readSeconds(value, directive, context)
      },
    ),
  ),
  proxyvia: serverOnly(
    take1('Configure Via: proxy header header to one of: on | off | block | full', (value, directive, context) => {
      const via = value.toLowerCase()
      if (via === 'on' || via === 'off' || via === 'full' || via === 'block') context.server.via = via
      else context.report.fail(directive, 'ProxyVia must be one of: off | on | full | block', { at: value })
    }),
  ),
  proxymaxforwards: serverOnly(
    take1('The maximum number of proxies a request may be forwarded through.', (value, _, { server }) => {
      server.maxForwards = atoi(value)
    }),
  ),
  proxysourceaddress: serverOnly(
    take1('Configure local source IP used for request forward', (value, directive, { server, report }) => {
      if (isIP(value) === 0)
        report.refuse(directive, 'it must be an IP address; names are not looked up', { at: value })
      else server.sourceAddress = value
    }),
  ),
  proxybadheader: serverOnly(
    take1('How to handle bad header line in response: IsError | Ignore | StartBody', (value, directive, { report }) => {
      if (/^(?:ignore|startbody)$/i.test(value))
        report.refuse(directive, 'a response with a malformed header line is always a 502', { at: value })
      else if (!/^iserror$/i.test(value))
        report.fail(directive, 'ProxyBadHeader must be one of: IsError | Ignore | StartBody', { at: value })
    }),
  ),
  proxyerroroverride: errorOverride,
  proxyrequests: serverOnly(
    flag((on, { report }, directive) => {
      if (on) report.refuse(directive, 'a forward proxy is not supported')
    }),
  ),
  proxypassinherit: serverOnly(
    flag((on, { report }, directive) => {
      if (!on) report.refuse(directive, 'a virtual host always inherits the ProxyPass lines of the main server')
    }),
  ),
  ...Object.fromEntries(
    `SSLProxyEngine SSLProxyVerify SSLProxyVerifyDepth SSLProxyCACertificateFile SSLProxyCACertificatePath
    SSLProxyCARevocationCheck SSLProxyCARevocationFile SSLProxyCARevocationPath SSLProxyCheckPeerCN SSLProxyCheckPeerExpire
    SSLProxyCheckPeerName SSLProxyCipherSuite SSLProxyMachineCertificateChainFile SSLProxyMachineCertificateFile
    SSLProxyMachineCertificatePath SSLProxyProtocol`
      .split(/\s+/)
      .map((name): [string, Handler] => [name.toLowerCase(), sslProxy]),
  ),
}

/** Seconds in ms, with a warning if the value has a unit. */
export function readSeconds(value: string, directive: Directive, { report }: Context): number {
  const seconds = atoi(value)
  if (!/^\d+$/.test(value)) {
    const message = `httpd reads ${JSON.stringify(value)} as ${seconds} seconds: a unit has no effect here`
    report.warn(directive, message, { at: value })
  }
  return seconds * 1_000
}

function warnOfNextVersion(directive: Directive, { report, compat }: Context): void {
  if (compat !== '2.5')
    report.warn(directive, 'it is supported here, but httpd 2.4 has no such directive; the next version has it')
}

function timeOfNextVersion(errmsg: string, set: (scope: Scope, ms: number) => void): Handler {
  return take1(errmsg, (value, directive, context) => {
    const ms = duration(value, 's')
    if (ms === undefined) {
      context.report.fail(directive, `${directive.name} timeout has wrong format`, { at: value })
      return
    }
    set(context.scope, ms)
    warnOfNextVersion(directive, context)
  })
}

/** httpd: set_proxy_error_override. */
function errorOverride(directive: Directive, { scope, report }: Context): undefined {
  const list = splitWords(directive.args)
  if (list.length === 0)
    return report.fail(
      directive,
      `${directive.name} requires at least one argument, use our error handling pages instead of the servers' we are proxying`,
    )
  let on: boolean | undefined
  const codes: number[] = []
  const fail = (httpd: string, at: string): undefined => report.fail(directive, `ProxyErrorOverride${httpd}`, { at })
  for (const word of list) {
    if (FLAG.test(word)) on = word.toLowerCase() === 'on'
    else if (on === undefined) return fail(' first parameter must be one of: off | on', word)
    else if (!/^\d/.test(word)) return fail(': status codes to intercept must be numeric', word)
    else if (!on) return fail(": status codes must follow a value of 'on'", word)
    else if (atoi(word) < 400 || atoi(word) >= 600)
      return fail(': status codes to intercept must be valid HTTP Status Codes >=400 && <600', word)
    else codes.push(atoi(word))
  }
  scope.errorOverride = on && codes.length > 0 ? codes : on === true
}

function sslProxy(directive: Directive, { server, proxy, report }: Context): undefined {
  const { key, place, name, args } = directive
  const words = splitWords(args)
  if (words.length === 0) return report.fail(directive, `${name} takes one argument`)
  if (proxy !== undefined)
    return report.refuse(directive, 'it is not supported in a <Proxy> section', {
      expected: 'the same line in the server',
    })
  server.tls.set(key, { words, place, name })
}
