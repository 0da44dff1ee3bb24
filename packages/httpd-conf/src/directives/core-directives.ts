import type { Directive } from '../syntax/parser.ts'
import { atoi } from '../syntax/values.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { LIMIT_REQUEST_BODY } from './access-directives.ts'
import { type Context, flag, type Handlers, serverOnly, take1 } from './directive-kit.ts'
import type { Server } from './model.ts'
import { readSeconds } from './proxy-settings.ts'

const NOT_PROXIED = 'it concerns files and requests that are not proxied, which your app handles'

const MODES: Record<string, NonNullable<Server['encodedSlashes']>> = { on: 'decode', off: 'reject', nodecode: 'keep' }

/** Directives of httpd's core. */
export const CORE_DIRECTIVES: Handlers = {
  servername: serverOnly(take1('The hostname and port of the server', serverName)),
  serveralias: serverOnly((directive, { server, section, report }) => {
    if (section === '') report.fail(directive, 'ServerAlias only used in <VirtualHost>')
    else server.names.push(...splitWords(directive.args))
  }),
  timeout: serverOnly(
    take1('Timeout duration (sec)', (value, directive, context) => {
      if (atoi(value) < 1) context.report.error(directive, 'expected at least one second', { at: value })
      else context.server.timeout = readSeconds(value, directive, context)
    }),
  ),
  mergeslashes: serverOnly(
    flag((on, { server }) => {
      server.mergeSlashes = on
    }),
  ),
  allowencodedslashes: serverOnly(
    take1("Allow URLs containing '/' encoded as '%2F'", (value, directive, { server, report }) => {
      const mode = MODES[value.toLowerCase()]
      if (mode === undefined) report.fail(directive, 'AllowEncodedSlashes must be On, Off, or NoDecode', { at: value })
      else server.encodedSlashes = mode
    }),
  ),
  usecanonicalname: take1('Figure out the canonical name of the server', (value, directive, { report, server }) => {
    if (/^on$/i.test(value)) server.canonicalName = true
    else if (/^off$/i.test(value)) server.canonicalName = false
    else if (/^dns$/i.test(value))
      report.refuse(directive, 'DNS is not supported, because it needs a DNS lookup for each request', {
        at: value,
        expected: 'UseCanonicalName On with ServerName, or UseCanonicalName Off for the name that the client sends',
      })
    else report.fail(directive, "parameter must be 'on', 'off', or 'dns'", { at: value })
  }),
  errordocument: (directive, { report, server }) => {
    const status = new Words(directive.args).next()
    if (!/^[45]\d\d$/.test(status)) {
      report.fail(directive, `Unsupported HTTP response code ${status}`, { at: status })
      return
    }
    server.standalone.set(`errordocument ${status}`, directive)
    report.ignore(directive, `the error handler of your app makes the responses with status ${status}`)
  },
  documentroot: serverOnly(
    take1('Root directory of the document tree', (value, directive, { server, report, absolute }) => {
      server.documentRoot = absolute(value).replace(/\/+$/, '')
      report.ignore(directive, NOT_PROXIED)
    }),
  ),
  limitrequestbody: LIMIT_REQUEST_BODY,
}

/** httpd: set_server_hostname. */
function serverName(value: string, directive: Directive, { server, report }: Context): undefined {
  if (/[*?[]/.test(value))
    return report.fail(directive, `Invalid ServerName "${value}" use ServerAlias to set multiple server names.`, {
      at: value,
    })
  const rest = value.replace(/^[^:]*:\/\//, '').replace(/\/.*$/s, '')
  if (rest !== value) report.warn(directive, `only the name and the port count: ${rest}`, { at: value, expected: rest })
  const colon = rest.indexOf(':')
  const port = colon === -1 ? 1 : atoi(rest.slice(colon + 1))
  if (port <= 0 || port >= 65_536)
    return report.fail(directive, `The port number "${value}" is outside the appropriate range (i.e., 1..65535).`, {
      at: value,
    })
  server.serverName = colon === -1 ? rest : rest.slice(0, colon)
  if (colon !== -1) server.serverPort = port
}
