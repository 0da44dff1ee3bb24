import type { Directive } from '../syntax/parser.ts'
import { atoi } from '../syntax/values.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { type Context, flag, type Handler, type Handlers, isInServer, serverOnly, take1 } from './directive-kit.ts'
import type { Server } from './model.ts'
import { ACCESS_CONTROL } from './not-ours.ts'
import { readSeconds } from './proxy-settings.ts'

const NOT_PROXIED = 'it concerns requests that are not proxied, which your app handles'

/** Statuses of responses that the proxy makes itself. */
const PROXY_STATUS = /^(?:400|403|414|426|500|502|503|504)$/

const MODES: Record<string, NonNullable<Server['encodedSlashes']>> = { on: 'decode', off: 'reject', nodecode: 'keep' }

/** Directives of httpd's core, access control and redirects. */
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
  usecanonicalname: take1('Figure out the canonical name of the server', (value, directive, { report }) => {
    if (!/^off$/i.test(value))
      report.refuse(directive, 'rewritten Location fields always have the name from the Host field of the request', {
        at: value,
      })
  }),
  errordocument: (directive, { report }) => {
    const status = new Words(directive.args).next()
    if (PROXY_STATUS.test(status))
      report.refuse(directive, `the error handler of your app makes the responses with status ${status}`, {
        at: status,
      })
    else report.ignore(directive, 'your app makes such responses')
  },
  '<requireall': requireSection,
  '<requireany': requireSection,
  '<requirenone': requireSection,
  require: access(/^all\s+granted$/i),
  allow: access(/^from\s+all$/i),
  order: access(/^(?:allow\s*,\s*deny|deny\s*,\s*allow|mutual-failure)$/i),
  deny: access(/^from\s+none$/i),
  satisfy: access(/^all$/i),
  redirect,
  redirectmatch: redirect,
  redirectpermanent: redirect,
  redirecttemp: redirect,
}

/** httpd: set_server_hostname. */
function serverName(value: string, directive: Directive, { server, report }: Context): undefined {
  if (/[*?[]/.test(value))
    return report.fail(directive, `Invalid ServerName "${value}" use ServerAlias to set multiple server names.`, {
      at: value,
    })
  const rest = value.replace(/^[^:]*:\/\//, '')
  const colon = rest.indexOf(':')
  const port = colon === -1 ? 1 : atoi(rest.slice(colon + 1))
  if (port <= 0 || port >= 65_536)
    return report.fail(directive, `The port number "${value}" is outside the appropriate range (i.e., 1..65535).`, {
      at: value,
    })
  server.serverName = colon === -1 ? rest : rest.slice(0, colon)
}

/** An access control directive. It is ignored where it allows every client, else refused. */
function access(harmless: RegExp): Handler {
  return (directive, { report }) => {
    if (harmless.test(directive.args.trim())) report.ignore(directive, 'it allows every client')
    else report.refuse(directive, ACCESS_CONTROL)
  }
}

function requireSection(directive: Directive, { report }: Context): void {
  const { children = [] } = directive
  if (children.every(({ key, args }) => key === 'require' && /^all\s+granted$/i.test(args.trim())))
    report.ignore(directive, 'it allows every client')
  else report.refuse(directive, ACCESS_CONTROL)
}

function redirect(directive: Directive, context: Context): void {
  if (isInServer(context)) context.report.ignore(directive, NOT_PROXIED)
  else context.report.refuse(directive, 'it would redirect requests that are proxied here')
}
