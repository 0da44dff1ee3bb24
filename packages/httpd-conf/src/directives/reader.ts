import { type Balancer, balancerComplaint, balancerName } from '../compile/balancers.ts'
import type { Place, Remark, Report } from '../diagnostics.ts'
import type { Compat } from '../index.ts'
import { translateRegex, withoutGroups } from '../patterns/translate-regex.ts'
import type { RewriteCondition, RewriteRule } from '../rules/apply-rewrite.ts'
import { type EnvRule, readEnvRule } from '../rules/environment.ts'
import { Expansion } from '../rules/expansion.ts'
import { type HeaderEdit, readHeaderEdit } from '../rules/header-edits.ts'
import type { Directive } from '../syntax/parser.ts'
import { splitWords, Words } from '../syntax/words.ts'
import {
  type HealthNames,
  healthComplaint,
  readHealthCheck,
  readHealthCondition,
  readTemplate,
} from './health-parameters.ts'
import { OUTSIDE } from './not-ours.ts'
import { readCondition, readRule } from './rewrite-directives.ts'
import { atoi, duration, IDLE_PARAMETERS, workerComplaint } from './worker-parameters.ts'

/** One ProxyPass or ProxyPassMatch line. */
export interface Alias {
  readonly name: string
  readonly place: Place
  /** Path, or pattern. */
  readonly fake: string
  /** The pattern in JavaScript. */
  readonly regex: { readonly source: string; readonly flags: string } | undefined
  /** URL, or `!`. */
  readonly real: string
  readonly nocanon: boolean
  /** `mapping=` */
  readonly mapping: 'decoded' | 'encoded' | 'servlet'
  readonly parameters: ReadonlyMap<string, string>
}

/** `from` is what the backend says, `to` what the client is told. */
export interface Mapping {
  readonly from: string
  readonly to: string
}

/** What sections and the server outside of them may say alike; a more specific one is merged over a less specific one. */
export interface Scope {
  errorOverride?: boolean | readonly number[]
  alias?: Alias
  preserveHost?: boolean
  addHeaders?: boolean
  fallback?: boolean
  /** ms. */
  websocketIdle?: number
  async?: boolean
  /** ms. */
  asyncDelay?: number
  readonly reverses: Mapping[]
  readonly cookiePaths: Mapping[]
  readonly cookieDomains: Mapping[]
  readonly requestEdits: HeaderEdit[]
  readonly answerEdits: HeaderEdit[]
  readonly envRules: EnvRule[]
  readonly setEnv: Map<string, string>
}

/** A `<Location>`. */
export interface Location {
  readonly place: Place
  readonly name: string
  /** Literal path, or pattern in JavaScript. */
  readonly path: string
  readonly regex: { readonly source: string; readonly flags: string } | undefined
  readonly scope: Scope
}

/** A server or a virtual host. */
export interface Server {
  readonly names: string[]
  serverName?: string
  timeout?: number
  proxyTimeout?: number
  via?: 'off' | 'on' | 'full' | 'block'
  maxForwards?: number
  mergeSlashes?: boolean
  encodedSlashes?: 'reject' | 'decode' | 'keep'
  interpolate?: boolean
  /** RewriteEngine; a virtual host does not inherit the rules. */
  rewrites: boolean
  readonly rules: RewriteRule[]
  /** RewriteCond lines that wait for their rule. */
  readonly conditions: RewriteCondition[]
  readonly aliases: Alias[]
  readonly scope: Scope
  readonly locations: Location[]
  /** SSLProxy*: directive, lower-case -> its words and place. */
  readonly tls: Map<string, { words: string[]; place: Place; name: string }>
  /** Parameters of workers, by `<Proxy url>` and ProxySet: URL -> parameters. */
  readonly workers: Map<string, { readonly place: Place; readonly parameters: Map<string, string> }>
  /** By name, lower-case. */
  readonly balancers: Map<string, Balancer>
  readonly health: HealthNames
}

export interface VirtualHost {
  readonly place: Place
  readonly server: Server
}

export const emptyScope = (): Scope => ({
  reverses: [],
  cookiePaths: [],
  cookieDomains: [],
  requestEdits: [],
  answerEdits: [],
  envRules: [],
  setEnv: new Map(),
})

export const emptyServer = (): Server => ({
  names: [],
  rewrites: false,
  rules: [],
  conditions: [],
  aliases: [],
  scope: emptyScope(),
  locations: [],
  tls: new Map(),
  workers: new Map(),
  balancers: new Map(),
  health: { templates: new Map(), conditions: new Map() },
})

/** Without the keys that are `undefined`. */
const given = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T

/** httpd: merge_proxy_dir_config and its kin. */
export function mergeScopes(base: Scope, over: Scope): Scope {
  return {
    ...given(base),
    ...given(over),
    reverses: [...base.reverses, ...over.reverses],
    cookiePaths: [...base.cookiePaths, ...over.cookiePaths],
    cookieDomains: [...base.cookieDomains, ...over.cookieDomains],
    requestEdits: [...base.requestEdits, ...over.requestEdits],
    answerEdits: [...base.answerEdits, ...over.answerEdits],
    envRules: [...base.envRules, ...over.envRules],
    setEnv: new Map([...base.setEnv, ...over.setEnv]),
  }
}

/** A virtual host over the main server. httpd: merge_proxy_config; AllowEncodedSlashes is not inherited. */
export function mergeServers(base: Server, over: Server): Server {
  const { encodedSlashes: _, rewrites: __, ...inherited } = given(base)
  return {
    ...inherited,
    ...given(over),
    names: over.names,
    rules: over.rules,
    aliases: [...base.aliases, ...over.aliases],
    scope: mergeScopes(base.scope, over.scope),
    locations: [...base.locations, ...over.locations],
    tls: new Map([...base.tls, ...over.tls]),
    workers: new Map([...base.workers, ...over.workers]),
    balancers: new Map([...base.balancers, ...over.balancers]),
    health: over.health,
  }
}

/** Where a directive stands. */
interface Context {
  readonly server: Server
  readonly scope: Scope
  /** The section around it: `<Location`, `<Proxy`, `<VirtualHost`; `''` outside of all. */
  readonly section: string
  /** The Location it is in. */
  readonly location: { path: string; regex: Location['regex'] } | undefined
  /** The URL of the `<Proxy>` section it is in. */
  readonly proxy: string | undefined
}

type Handler = (directive: Directive, context: Context) => void

const FLAG = /^(?:on|off)$/i

/** Reads the tree into servers, checks every line as httpd does and says which are not honoured. */
export class ServerReader {
  readonly main = emptyServer()
  readonly hosts: VirtualHost[] = []
  readonly #report: Report
  readonly #compat: Compat
  readonly #handlers: Record<string, Handler>

  constructor(report: Report, compat: Compat) {
    this.#report = report
    this.#compat = compat
    this.#handlers = this.#table()
  }

  read(tree: readonly Directive[]): void {
    this.main.rewrites = rewrites(tree)
    const context = { server: this.main, scope: this.main.scope, section: '', location: undefined, proxy: undefined }
    this.#walk(tree, context)
  }

  #walk(list: readonly Directive[], context: Context): void {
    for (const directive of list) this.#directive(directive, context)
  }

  #directive(directive: Directive, context: Context): void {
    const { key, name, place } = directive
    if (Object.hasOwn(this.#handlers, key)) {
      this.#handlers[key]?.(directive, context)
      return
    }
    const outside = OUTSIDE.get(key)
    if (outside?.kind === 'ignored') this.#report.ignore(place, name, outside.why)
    else if (outside !== undefined) this.#report.refuse(place, name, outside.why)
    else this.#unknown(directive)
  }

  #unknown({ key, name, place }: Directive): void {
    const known = [...Object.keys(this.#handlers), ...OUTSIDE.keys()]
    const near = known.find(other => other !== key && other.length > 3 && isNear(other, key))
    this.#report.error(place, name, 'no such directive', {
      httpd: `Invalid command '${name}', perhaps misspelled or defined by a module not included in the server configuration`,
      ...(near === undefined ? {} : { expected: `perhaps ${near}` }),
    })
  }

  #ofNextVersion(place: Place, name: string): void {
    if (this.#compat !== '2.5')
      this.#report.warn(place, name, 'honoured; httpd 2.4 has no such directive, only its next version')
  }

  #fail(directive: Directive, httpd: string, remark: Remark = {}): undefined {
    this.#report.error(directive.place, directive.name, httpd, { httpd, ...remark })
    return undefined
  }

  #table(): Record<string, Handler> {
    const serverOnly =
      (handler: Handler): Handler =>
      (directive, context) => {
        if (context.section === '' || context.section === '<VirtualHost') handler(directive, context)
        else this.#fail(directive, `${directive.name} not allowed in ${context.section}> context`)
      }
    const words =
      (
        least: number,
        most: number,
        count: string,
        errmsg: string,
        handler: (words: string[], directive: Directive, context: Context) => void,
      ): Handler =>
      (directive, context) => {
        const list = splitWords(directive.args)
        if (list.length < least || list.length > most || list[0] === '') {
          this.#fail(directive, `${directive.name} takes ${count}, ${errmsg}`)
        } else handler(list, directive, context)
      }
    const flag =
      (set: (on: boolean, directive: Directive, context: Context) => void): Handler =>
      (directive, context) => {
        const word = new Words(directive.args).next()
        if (FLAG.test(word)) set(word.toLowerCase() === 'on', directive, context)
        else this.#fail(directive, `${directive.name} must be On or Off`)
      }
    const refuseOn = (why: string): Handler =>
      flag((on, { place, name }) => {
        if (on) this.#report.refuse(place, name, why)
      })
    const url = 'a virtual path and a URL'
    return {
      '<virtualhost': (directive, context) => this.#virtualHost(directive, context),
      '<location': (directive, context) => this.#location(directive, context, false),
      '<locationmatch': (directive, context) => this.#location(directive, context, true),
      '<proxy': (directive, context) => this.#proxy(directive, context),
      '<proxymatch': ({ place, name }) => {
        this.#report.refuse(place, name, 'sections by a pattern of the backend URL are not honoured', {
          expected: '<Proxy "url">, or the directives in the Location',
        })
      },
      '<requireall': directive => this.#requireAny(directive),
      '<requireany': directive => this.#requireAny(directive),
      '<requirenone': directive => this.#requireAny(directive),
      require: directive => this.#access(directive, /^all\s+granted$/i),
      allow: directive => this.#access(directive, /^from\s+all$/i),
      order: directive => this.#access(directive, /^(?:allow\s*,\s*deny|deny\s*,\s*allow|mutual-failure)$/i),
      deny: directive => this.#access(directive, /^from\s+none$/i),
      satisfy: directive => this.#access(directive, /^all$/i),
      errordocument: ({ args, place, name }) => {
        const status = new Words(args).next()
        if (/^(?:400|403|414|426|500|502|503|504)$/.test(status)) {
          this.#report.refuse(place, name, `answers of status ${status} reach your app's error handler instead`, {
            at: status,
          })
        } else this.#report.ignore(place, name, 'such answers are made by your app')
      },
      proxypass: (directive, context) => this.#pass(directive, context, false),
      proxypassmatch: (directive, context) => this.#pass(directive, context, true),
      proxypassreverse: words(
        1,
        3,
        'one, two or three arguments',
        `${url} for reverse proxy behaviour`,
        (list, directive, context) => this.#reverse(list, directive, context),
      ),
      proxypassreversecookiepath: words(
        2,
        3,
        'two or three arguments',
        'Path rewrite rule for proxying cookies',
        ([from, to, third], directive, { scope }) => {
          this.#interpolated(third, directive)
          scope.cookiePaths.push({ from: from as string, to: to as string })
        },
      ),
      proxypassreversecookiedomain: words(
        2,
        3,
        'two or three arguments',
        'Domain rewrite rule for proxying cookies',
        ([from, to, third], directive, { scope }) => {
          this.#interpolated(third, directive)
          scope.cookieDomains.push({ from: from as string, to: to as string })
        },
      ),
      proxypassinterpolateenv: flag((on, _, { server }) => {
        server.interpolate = on
      }),
      proxypreservehost: flag((on, _, { scope }) => {
        scope.preserveHost = on
      }),
      proxyaddheaders: flag((on, _, { scope }) => {
        scope.addHeaders = on
      }),
      proxywebsocketfallbacktoproxyhttp: flag((on, directive, { scope }) => {
        if (this.#compat === '2.4.46') this.#unknown(directive)
        else scope.fallback = on
      }),
      proxywebsocketasync: flag((on, { place, name }, { scope }) => {
        scope.async = on
        this.#ofNextVersion(place, name)
      }),
      proxywebsocketasyncdelay: words(
        1,
        1,
        'one argument',
        'amount of time to poll before going asynchronous',
        ([value], directive, { scope }) => {
          const ms = duration(value as string, 's')
          if (ms === undefined) this.#fail(directive, `${directive.name} timeout has wrong format`, { at: value })
          else {
            scope.asyncDelay = ms
            this.#ofNextVersion(directive.place, directive.name)
          }
        },
      ),
      proxywebsocketidletimeout: words(
        1,
        1,
        'one argument',
        'timeout for activity from either end of a tunnel',
        ([value], directive, { scope }) => {
          const ms = duration(value as string, 's')
          if (ms === undefined) this.#fail(directive, `${directive.name} timeout has wrong format`, { at: value })
          else {
            scope.websocketIdle = ms
            this.#ofNextVersion(directive.place, directive.name)
          }
        },
      ),
      proxytimeout: serverOnly(
        words(
          1,
          1,
          'one argument',
          'Set the timeout (in seconds) for a proxied connection. This overrides the server timeout',
          ([value], directive, { server }) => {
            const seconds = atoi(value as string)
            if (seconds < 1) this.#fail(directive, 'Proxy Timeout must be at least 1 second.', { at: value })
            else server.proxyTimeout = this.#seconds(seconds, value as string, directive)
          },
        ),
      ),
      timeout: serverOnly(
        words(1, 1, 'one argument', 'Timeout duration (sec)', ([value], directive, { server }) => {
          const seconds = atoi(value as string)
          if (seconds < 1)
            this.#report.error(directive.place, directive.name, 'expected at least one second', { at: value })
          else server.timeout = this.#seconds(seconds, value as string, directive)
        }),
      ),
      proxyvia: serverOnly(
        words(
          1,
          1,
          'one argument',
          'Configure Via: proxy header header to one of: on | off | block | full',
          ([value], directive, { server }) => {
            const via = (value as string).toLowerCase()
            if (via === 'on' || via === 'off' || via === 'full' || via === 'block') server.via = via
            else this.#fail(directive, 'ProxyVia must be one of: off | on | full | block', { at: value })
          },
        ),
      ),
      proxymaxforwards: serverOnly(
        words(
          1,
          1,
          'one argument',
          'The maximum number of proxies a request may be forwarded through.',
          ([value], _, { server }) => {
            server.maxForwards = atoi(value as string)
          },
        ),
      ),
      proxybadheader: serverOnly(
        words(
          1,
          1,
          'one argument',
          'How to handle bad header line in response: IsError | Ignore | StartBody',
          ([value], directive) => {
            if (/^(?:ignore|startbody)$/i.test(value as string)) {
              this.#report.refuse(directive.place, directive.name, 'an answer with a bad header line is always 502', {
                at: value,
              })
            } else if (!/^iserror$/i.test(value as string)) {
              this.#fail(directive, 'ProxyBadHeader must be one of: IsError | Ignore | StartBody', { at: value })
            }
          },
        ),
      ),
      proxyerroroverride: (directive, context) => this.#errorOverride(directive, context),
      proxyrequests: serverOnly(refuseOn('a forward proxy is another thing')),
      proxypassinherit: serverOnly(
        flag((on, { place, name }) => {
          if (!on) this.#report.refuse(place, name, 'workers of the main server are always shared')
        }),
      ),
      mergeslashes: serverOnly(
        flag((on, _, { server }) => {
          server.mergeSlashes = on
        }),
      ),
      allowencodedslashes: serverOnly(
        words(1, 1, 'one argument', "Allow URLs containing '/' encoded as '%2F'", ([value], directive, { server }) => {
          const modes: Record<string, Server['encodedSlashes']> = { on: 'decode', off: 'reject', nodecode: 'keep' }
          const mode = modes[(value as string).toLowerCase()]
          if (mode === undefined)
            this.#fail(directive, 'AllowEncodedSlashes must be On, Off, or NoDecode', { at: value })
          else server.encodedSlashes = mode
        }),
      ),
      servername: serverOnly(
        words(1, 1, 'one argument', 'The hostname and port of the server', ([value], directive, { server }) =>
          this.#serverName(value as string, directive, server),
        ),
      ),
      serveralias: serverOnly((directive, { server, section }) => {
        if (section === '') this.#fail(directive, 'ServerAlias only used in <VirtualHost>')
        else server.names.push(...splitWords(directive.args))
      }),
      usecanonicalname: words(
        1,
        1,
        'one argument',
        'Figure out the canonical name of the server',
        ([value], { place, name }) => {
          if (!/^off$/i.test(value as string)) {
            this.#report.refuse(place, name, 'the name the client used stands in rewritten Location fields', {
              at: value,
            })
          }
        },
      ),
      rewriteengine: flag((on, { place, name }, { section }) => {
        if (section !== '' && section !== '<VirtualHost' && on)
          this.#report.refuse(place, name, 'rules of a section see file names, and are not honoured')
      }),
      rewritecond: (directive, context) => this.#rewrite(directive, context, true),
      rewriterule: (directive, context) => this.#rewrite(directive, context, false),
      setenv: (directive, { scope }) => {
        const [variable = '', value = ''] = splitWords(directive.args)
        if (variable === '')
          this.#fail(
            directive,
            'SetEnv takes 1-2 arguments, an environment variable name and optional value to pass to CGI',
          )
        else {
          this.#specialVariable(variable, directive)
          scope.setEnv.set(variable, value)
        }
      },
      unsetenv: (directive, { scope }) => {
        for (const variable of splitWords(directive.args)) scope.setEnv.delete(variable)
      },
      setenvif: (directive, context) => this.#setEnvIf(directive, context),
      setenvifnocase: (directive, context) => this.#setEnvIf(directive, context),
      requestheader: ({ name, args, place }, { scope }) => {
        const edit = readHeaderEdit(name, args, place, this.#report)
        if (edit !== undefined) scope.requestEdits.push(edit)
      },
      header: ({ name, args, place }, { scope }) => {
        const edit = readHeaderEdit(name, args, place, this.#report)
        if (edit !== undefined) scope.answerEdits.push(edit)
      },
      proxyset: (directive, context) => this.#proxySet(directive, context),
      balancermember: (directive, context) => this.#member(directive, context),
      proxyhctemplate: ({ name, args, place }, { server }) =>
        readTemplate(name, args, place, this.#report, server.health),
      proxyhcexpr: ({ name, args, place }, { server }) =>
        readHealthCondition(name, args, place, this.#report, server.health),
      proxyhctpsize: words(
        1,
        1,
        'one argument',
        'Set size of health check thread pool',
        ([value], directive, context) => {
          const { place, name } = directive
          if (context.section === '<VirtualHost')
            this.#fail(directive, `${name} cannot occur within <VirtualHost> section`)
          else if (atoi(value as string) < 0)
            this.#fail(directive, 'Invalid ProxyHCTPsize parameter. Parameter must be >= 0', { at: value })
          else this.#report.ignore(place, name, 'checks need no threads; 16 at most are under way at a time')
        },
      ),
      redirect: (directive, context) => this.#redirect(directive, context),
      redirectmatch: (directive, context) => this.#redirect(directive, context),
      redirectpermanent: (directive, context) => this.#redirect(directive, context),
      redirecttemp: (directive, context) => this.#redirect(directive, context),
      ...Object.fromEntries(
        `SSLProxyEngine SSLProxyVerify SSLProxyVerifyDepth SSLProxyCACertificateFile SSLProxyCACertificatePath
        SSLProxyCARevocationCheck SSLProxyCARevocationFile SSLProxyCARevocationPath SSLProxyCheckPeerCN SSLProxyCheckPeerExpire
        SSLProxyCheckPeerName SSLProxyCipherSuite SSLProxyMachineCertificateChainFile SSLProxyMachineCertificateFile
        SSLProxyMachineCertificatePath SSLProxyProtocol`
          .split(/\s+/)
          .map(name => [
            name.toLowerCase(),
            ((directive, context) => this.#sslProxy(directive, context)) satisfies Handler,
          ]),
      ),
    }
  }

  #seconds(seconds: number, value: string, { place, name }: Directive): number {
    if (!/^\d+$/.test(value)) {
      this.#report.warn(
        place,
        name,
        `httpd reads ${JSON.stringify(value)} as ${seconds} seconds: it knows no units here`,
        { at: value },
      )
    }
    return seconds * 1_000
  }

  #access({ args, place, name }: Directive, harmless: RegExp): void {
    if (harmless.test(args.trim())) this.#report.ignore(place, name, 'it lets everybody in')
    else this.#report.refuse(place, name, 'access control of httpd is not applied; put a middleware in front')
  }

  #requireAny({ children = [], place, name }: Directive): void {
    if (children.every(({ key, args }) => key === 'require' && /^all\s+granted$/i.test(args.trim()))) {
      this.#report.ignore(place, name, 'it lets everybody in')
    } else this.#report.refuse(place, name, 'access control of httpd is not applied; put a middleware in front')
  }

  #redirect({ place, name }: Directive, { section }: Context): void {
    if (section === '' || section === '<VirtualHost') {
      this.#report.ignore(place, name, 'it concerns what is not proxied, which is your app')
    } else this.#report.refuse(place, name, 'it redirects what would be proxied, and would not')
  }

  #interpolated(word: string | undefined, { place, name }: Directive): void {
    if (word !== undefined) this.#report.refuse(place, name, 'interpolate is not honoured', { at: word })
  }

  #specialVariable(variable: string, { place, name }: Directive): void {
    if (
      /^(?:force-proxy-request-1\.0|proxy-nohalfclose|proxy-interim-response|proxy-chain-auth|downgrade-1\.0|force-response-1\.0|no-gzip-override)$/.test(
        variable,
      )
    ) {
      this.#report.refuse(place, name, `the variable ${variable} is not honoured`, { at: variable })
    } else if (
      /^proxy-(?:nokeepalive|initial-not-pooled|sendcl|sendchunked|sendchunks|sendunchangedcl|flushall)$/.test(variable)
    ) {
      this.#report.ignore(place, name, `${variable} tunes connections that Node manages`)
    }
  }

  #rewrite({ name, args, place }: Directive, { server, section }: Context, isCondition: boolean): void {
    if (server.rewrites !== true) {
      this.#report.ignore(place, name, 'RewriteEngine is off')
      return
    }
    if (section !== '' && section !== '<VirtualHost') {
      this.#report.refuse(place, name, 'rules of a section see file names, and are not honoured')
      return
    }
    if (isCondition) {
      // A condition that is left out must not let its rule loose.
      server.conditions.push(readCondition(name, args, place, this.#report) ?? NEVER)
      return
    }
    const rule = readRule(name, args, place, server.conditions.splice(0), this.#report)
    if (rule !== undefined) server.rules.push(rule)
  }

  #setEnvIf(directive: Directive, { server, scope, section }: Context): void {
    const { name, args, place } = directive
    const inSection = section !== '' && section !== '<VirtualHost'
    const rule = readEnvRule(name, args, place, this.#report, inSection)
    if (rule === undefined) return
    for (const [variable] of rule.sets) {
      this.#specialVariable(variable, directive)
      if (variable === 'no-proxy' && inSection) {
        this.#report.warn(place, name, 'no-proxy comes too late in a section, in httpd too', { at: variable })
      }
    }
    ;(inSection ? scope : server.scope).envRules.push(rule)
  }

  #serverName(value: string, directive: Directive, server: Server): void {
    if (/[*?[]/.test(value)) {
      this.#fail(directive, `Invalid ServerName "${value}" use ServerAlias to set multiple server names.`, {
        at: value,
      })
      return
    }
    const rest = value.replace(/^[^:]*:\/\//, '')
    const colon = rest.indexOf(':')
    const port = colon === -1 ? 1 : atoi(rest.slice(colon + 1))
    if (port <= 0 || port >= 65_536) {
      this.#fail(directive, `The port number "${value}" is outside the appropriate range (i.e., 1..65535).`, {
        at: value,
      })
      return
    }
    server.serverName = colon === -1 ? rest : rest.slice(0, colon)
  }

  #errorOverride(directive: Directive, { scope }: Context): undefined {
    const list = splitWords(directive.args)
    if (list.length === 0) {
      this.#fail(
        directive,
        `${directive.name} requires at least one argument, use our error handling pages instead of the servers' we are proxying`,
      )
      return
    }
    let on: boolean | undefined
    for (const word of list) {
      if (FLAG.test(word)) on = word.toLowerCase() === 'on'
      else if (on === undefined)
        return this.#fail(directive, 'ProxyErrorOverride first parameter must be one of: off | on', { at: word })
      else if (!/^\d/.test(word))
        return this.#fail(directive, 'ProxyErrorOverride: status codes to intercept must be numeric', { at: word })
      else if (!on)
        return this.#fail(directive, "ProxyErrorOverride: status codes must follow a value of 'on'", { at: word })
      else if (atoi(word) < 400 || atoi(word) >= 600) {
        return this.#fail(
          directive,
          'ProxyErrorOverride: status codes to intercept must be valid HTTP Status Codes >=400 && <600',
          { at: word },
        )
      }
    }
    const codes = list.filter(word => /^\d/.test(word)).map(atoi)
    scope.errorOverride = on && codes.length > 0 ? codes : on === true
  }

  #virtualHost(directive: Directive, context: Context): void {
    if (context.section !== '') {
      this.#fail(
        directive,
        context.section === '<VirtualHost'
          ? '<VirtualHost> cannot occur within <VirtualHost> section'
          : `${directive.name} not allowed in ${context.section}> context`,
      )
      return
    }
    if (directive.args.trim() === '')
      this.#fail(directive, `${directive.name}> directive requires additional arguments`)
    const server = emptyServer()
    server.rewrites = rewrites(directive.children ?? [])
    this.hosts.push({ place: directive.place, server })
    this.#walk(directive.children ?? [], {
      server,
      scope: server.scope,
      section: '<VirtualHost',
      location: undefined,
      proxy: undefined,
    })
  }

  #location(directive: Directive, context: Context, match: boolean): void {
    if (context.section !== '' && context.section !== '<VirtualHost') {
      this.#fail(directive, `${directive.name} not allowed in ${context.section}> context`)
      return
    }
    const words = new Words(directive.args)
    let path = words.next()
    if (path === '') {
      this.#fail(directive, `${directive.name}> directive requires additional arguments`)
      return
    }
    const pattern = match || path === '~'
    if (path === '~' && !match) path = words.next()
    let regex: Location['regex']
    if (pattern || /[*?[]/.test(path)) {
      const translated = translateRegex(pattern ? path : fnmatch(path))
      if ('problem' in translated) {
        this.#report.error(directive.place, directive.name, translated.problem, {
          at: path,
          ...(pattern && { httpd: 'Regex could not be compiled' }),
        })
        return
      }
      const plain = withoutGroups(translated.source)
      if (plain === undefined) {
        this.#report.refuse(
          directive.place,
          directive.name,
          'a section by a pattern that refers to its own groups is not honoured',
          { at: path },
        )
        return
      }
      regex = translated
    }
    if (!words.done) this.#fail(directive, `Multiple ${directive.name}> arguments not (yet) supported.`)
    if (regex === undefined && path.includes('//')) {
      this.#report.warn(
        directive.place,
        directive.name,
        'never matches, in httpd too: runs of slashes are one where sections are looked for',
        { at: path },
      )
    }
    const scope = emptyScope()
    const location: Location = { place: directive.place, name: directive.name, path, regex, scope }
    this.#walk(directive.children ?? [], {
      server: context.server,
      scope,
      section: directive.name,
      location: { path, regex },
      proxy: undefined,
    })
    context.server.locations.push(location)
  }

  #proxy(directive: Directive, context: Context): void {
    const { name, children = [] } = directive
    const words = new Words(directive.args)
    const url = words.next().replace(/^proxy:/i, '')
    if (balancerName(url) !== undefined) this.#balancer(url, directive, context)
    const parameters = words.rest
    if (parameters !== '') this.#setParameters(url, parameters, directive, context, '')
    const scope = emptyScope()
    this.#walk(children, { server: context.server, scope, section: name, location: undefined, proxy: url })
    const only = children.find(
      ({ key }) =>
        ![
          'proxyset',
          'balancermember',
          'require',
          'allow',
          'order',
          'deny',
          'satisfy',
          'proxyhctemplate',
          'proxyhcexpr',
        ].includes(key) && OUTSIDE.get(key) === undefined,
    )
    if (only !== undefined && !only.key.startsWith('sslproxy')) {
      this.#report.refuse(only.place, only.name, `in ${name}> it is not honoured`, {
        expected: 'the same line in a Location or in the server',
      })
    }
  }

  #proxySet(directive: Directive, context: Context): void {
    const words = new Words(directive.args)
    const url = context.proxy ?? words.next()
    if (context.proxy === undefined && balancerName(url) !== undefined && !this.#knows(url, context)) {
      this.#fail(directive, `ProxySet can not find '${url}' Balancer.`, { at: url })
      return
    }
    this.#setParameters(url, words.rest, directive, context, 'ProxySet: ')
  }

  #knows(url: string, { server }: Context): boolean {
    return server.balancers.has(balancerName(url) as string)
  }

  /** The balancer of a URL, made where none is. httpd: ap_proxy_define_balancer. */
  #balancer(url: string, { place }: Directive, { server }: Context): Balancer {
    const name = balancerName(url) as string
    const known = server.balancers.get(name)
    if (known !== undefined) return known
    const made: Balancer = { name, place, parameters: new Map(), members: [] }
    server.balancers.set(name, made)
    return made
  }

  #balancerParameter(
    balancer: Balancer,
    key: string,
    value: string,
    directive: Directive,
    prefix: string,
    suffix: string,
  ): void {
    const complaint = balancerComplaint(key, value)
    const lower = key.toLowerCase()
    if (complaint !== undefined) this.#fail(directive, `${prefix}${complaint}${suffix}`, { at: `${key}=${value}` })
    else if (lower === 'nonce' || lower === 'growth')
      this.#report.ignore(directive.place, directive.name, `${lower}=: for the balancer-manager of httpd`)
    else balancer.parameters.set(lower, value)
  }

  /** httpd: add_member. */
  #member(directive: Directive, context: Context): undefined {
    const { place, name } = directive
    const parameters = new Map<string, string>()
    let path = context.proxy
    let url: string | undefined
    for (const word of splitWords(directive.args)) {
      const equals = word.indexOf('=')
      if (equals !== -1) {
        const [key, value] = [word.slice(0, equals), word.slice(equals + 1)]
        const complaint = workerComplaint(key, value) ?? healthComplaint(key, value, context.server.health)
        if (complaint !== undefined) return this.#fail(directive, `BalancerMember ${complaint}`, { at: word })
        parameters.set(key.toLowerCase(), value)
      } else if (path === undefined) path = word
      else if (url === undefined) url = word
      else
        return this.#fail(directive, "Invalid BalancerMember parameter. Parameter must be in the form 'key=value'", {
          at: word,
        })
    }
    if (path === undefined)
      return this.#fail(directive, 'BalancerMember must define balancer name when outside <Proxy > section')
    if (url === undefined) return this.#fail(directive, 'BalancerMember must define remote proxy server')
    if (balancerName(path) === undefined)
      return this.#fail(directive, `BalancerMember Bad syntax for a remote proxy server: ${path}`, { at: path })
    if (!/^(?:unix:[^|]+\|)?(?:wss?|https?):\/\//i.test(url)) {
      this.#report.refuse(place, name, 'this scheme is not proxied here', {
        at: url,
        expected: 'ws:, wss:, http: or https:',
      })
      return
    }
    const balancer = this.#balancer(path, directive, context)
    const shared = balancer.members.find(member => (url as string).startsWith(member.url))
    if (shared !== undefined) {
      this.#report.warn(place, name, `the member of line ${shared.place.line} is taken for it, in httpd too`, {
        at: url,
      })
      return
    }
    const health = readHealthCheck(parameters, context.server.health)
    const member = { name, place, url, parameters, health }
    balancer.members.push(member)
    return
  }

  #setParameters(url: string, text: string, directive: Directive, context: Context, prefix: string): void {
    const balancer = balancerName(url) === undefined ? undefined : this.#balancer(url, directive, context)
    const { server } = context
    const parameters = server.workers.get(url)?.parameters ?? new Map<string, string>()
    for (const word of splitWords(text)) {
      const equals = word.indexOf('=')
      if (equals === -1) {
        this.#fail(directive, "Invalid ProxySet parameter. Parameter must be in the form 'key=value'", { at: word })
        return
      }
      const [key, value] = [word.slice(0, equals), word.slice(equals + 1)]
      const suffix = prefix === '' ? '' : ` ${word}; ${url}`
      if (balancer === undefined) this.#parameter(key, value, parameters, directive, context, prefix, suffix)
      else this.#balancerParameter(balancer, key, value, directive, prefix, suffix)
    }
    if (balancer === undefined)
      server.workers.set(url, { place: server.workers.get(url)?.place ?? directive.place, parameters })
  }

  #parameter(
    key: string,
    value: string,
    into: Map<string, string>,
    directive: Directive,
    { server }: Context,
    prefix: string,
    suffix: string,
  ): void {
    const complaint = workerComplaint(key, value) ?? healthComplaint(key, value, server.health)
    if (complaint !== undefined) {
      this.#fail(directive, `${prefix}${complaint}${suffix}`, { at: `${key}=${value}` })
      return
    }
    const lower = key.toLowerCase()
    into.set(lower, value)
    const idle = IDLE_PARAMETERS[lower]
    if (idle !== undefined) this.#report.ignore(directive.place, directive.name, `${lower}=: ${idle}`)
    if ((lower === 'timeout' || lower === 'ttl' || lower === 'retry') && !/^\d+$/.test(value)) {
      this.#report.warn(
        directive.place,
        directive.name,
        `httpd reads ${lower}=${value} as ${atoi(value)} seconds: it knows no units here`,
        { at: `${key}=${value}` },
      )
    }
    if (lower === 'status' && /[ndsehrcogufNDSEHRCOGUF]/.test(value)) {
      this.#report.refuse(
        directive.place,
        directive.name,
        'the status of a worker outside a balancer is not honoured',
        { at: `${key}=${value}` },
      )
    }
  }

  #reverse(list: string[], directive: Directive, { scope, location }: Context): void {
    const [first = '', second, third] = list
    if (location === undefined) {
      if (second === undefined || /^interpolate$/i.test(second)) {
        this.#fail(directive, 'ProxyPassReverse needs a path when not defined in a location')
        return
      }
      this.#interpolated(third, directive)
      this.#addReverse({ from: second, to: first }, directive, scope)
      return
    }
    if (second !== undefined && !/^interpolate$/i.test(second)) {
      this.#fail(directive, 'ProxyPassReverse can not have a path when defined in a location', { at: second })
      return
    }
    this.#interpolated(second, directive)
    this.#addReverse({ from: first, to: location.path }, directive, scope)
  }

  #addReverse(mapping: Mapping, { place, name }: Directive, scope: Scope): void {
    if (/^wss?:/i.test(mapping.from)) {
      this.#report.warn(
        place,
        name,
        `a backend says http:, never ${mapping.from.replace(/:.*/s, ':')}, so this changes nothing, in httpd too`,
        {
          at: mapping.from,
          expected: mapping.from.replace(/^ws/i, 'http'),
        },
      )
    }
    scope.reverses.push(mapping)
  }

  /** httpd: add_pass. */
  #pass(directive: Directive, context: Context, match: boolean): undefined {
    const { server, scope, location, section } = context
    const { place, name } = directive
    if (section === '<Proxy') {
      this.#report.error(place, name, 'a Proxy section is no place for it')
      return
    }
    let fake = location?.path
    let isRegex = match
    let real: string | undefined
    let nocanon = false
    let mapping: Alias['mapping'] = 'decoded'
    const parameters = new Map<string, string>()
    for (const word of splitWords(directive.args)) {
      const lower = word.toLowerCase()
      if (fake === undefined) {
        if (word === '~') {
          if (match) return this.#fail(directive, "ProxyPassMatch invalid syntax ('~' usage).")
          isRegex = true
        } else fake = word
      } else if (real === undefined) real = word
      else if (lower === 'nocanon') nocanon = true
      else if (lower === 'interpolate') {
        if (server.interpolate !== false) this.#report.refuse(place, name, 'interpolate is not honoured', { at: word })
      } else if (lower === 'noquery') {
        this.#report.ignore(place, name, 'noquery has no effect for http and ws, in httpd too')
      } else if (!word.includes('=')) {
        return this.#fail(
          directive,
          location !== undefined && real.startsWith('/')
            ? 'ProxyPass|ProxyPassMatch can not have a path when defined in a location.'
            : "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.",
          { at: word, expected: 'key=value' },
        )
      } else {
        const key = word.slice(0, word.indexOf('='))
        const value = word.slice(key.length + 1)
        if (key.toLowerCase() !== 'mapping') parameters.set(key.toLowerCase(), value)
        else if (!/^(?:encoded|servlet)$/i.test(value))
          return this.#fail(directive, 'unknown mapping', { at: word, expected: 'mapping=encoded or mapping=servlet' })
        else mapping = value.toLowerCase() as Alias['mapping']
      }
    }
    if (fake === undefined || real === undefined) {
      return this.#fail(directive, 'ProxyPass|ProxyPassMatch needs a path when not defined in a location')
    }
    if (/^unix:/i.test(real) && !/^unix:[^|]+\|[a-z][a-z0-9+.-]*:/i.test(real)) {
      return this.#fail(directive, 'ProxyPass|ProxyPassMatch uses an invalid "unix:" URL', { at: real })
    }
    let regex: Alias['regex']
    if (isRegex || (location !== undefined && /[*?[]/.test(fake))) {
      const translated = translateRegex(fake)
      if ('problem' in translated) {
        this.#report.error(place, name, translated.problem, {
          at: fake,
          httpd: 'Regular expression could not be compiled.',
        })
        return
      }
      regex = translated
    }
    if (location?.regex !== undefined && !match && !isRegex) {
      this.#report.refuse(place, name, 'in a section by pattern httpd takes its text for a path, which never matches', {
        expected: 'ProxyPassMatch',
      })
      return
    }
    if (real === '!' && mapping !== 'decoded')
      this.#report.refuse(place, name, 'with mapping= it keeps nothing from the lines without', { at: 'mapping' })
    if (real !== '!') {
      if (!/^(?:unix:[^|]+\|)?[a-z][a-z0-9+.-]*:/i.test(real)) {
        return this.#fail(directive, `ProxyPass URL must be absolute!: ${real}`, {
          at: real,
          expected: 'a URL with scheme and host',
        })
      }
      const balancer = balancerName(real) === undefined ? undefined : this.#balancer(real, directive, context)
      for (const [key, value] of parameters) {
        if (balancer === undefined) this.#parameter(key, value, new Map(), directive, context, 'ProxyPass ', '')
        else this.#balancerParameter(balancer, key, value, directive, 'ProxyPass ', '')
      }
    }
    if (nocanon && real !== '!' && /[^\w~$\-.+!*'(),;:@&=/?#[\]|]/.test(real)) {
      this.#report.refuse(place, name, 'nocanon with a URL that is not in canonical form is not honoured', { at: real })
    }
    if (nocanon && regex !== undefined)
      this.#report.refuse(place, name, 'nocanon is honoured with a path, not with a pattern', { at: 'nocanon' })
    if (!fake.startsWith('/') && regex === undefined) {
      this.#report.warn(place, name, 'a path that does not begin with a slash never matches, in httpd too', {
        at: fake,
      })
    }
    const alias: Alias = { name, place, fake, regex, real, nocanon, mapping, parameters }
    if (location === undefined) server.aliases.push(alias)
    else {
      if (scope.alias !== undefined) {
        this.#report.warn(
          place,
          name,
          `one Location has one ProxyPass: this one replaces that of line ${scope.alias.place.line}, in httpd too`,
        )
      }
      scope.alias = alias
    }
  }

  #sslProxy(directive: Directive, { server, proxy }: Context): void {
    const list = splitWords(directive.args)
    if (list.length === 0) {
      this.#fail(directive, `${directive.name} takes one argument`)
      return
    }
    if (proxy !== undefined) {
      this.#report.refuse(directive.place, directive.name, 'in a Proxy section it is not honoured', {
        expected: 'the same line in the server',
      })
      return
    }
    server.tls.set(directive.key, { words: list, place: directive.place, name: directive.name })
  }
}

/** A shell pattern of a Location as a regular expression; `*` and `?` stop at slashes. */
function fnmatch(pattern: string): string {
  const body = pattern.replace(
    /\\(.)|\[([!^]?)([^\]]*)\]|./gs,
    (char, escaped: string | undefined, not: string | undefined, set: string | undefined) => {
      if (escaped !== undefined) return escaped.replace(/\W/g, '\\$&')
      if (set !== undefined) return `[${not === '' ? '' : '^'}${set.replace(/[\\^]/g, '\\$&')}]`
      if (char === '*') return '[^/]*'
      if (char === '?') return '[^/]'
      return char.replace(/[^\w/]/g, '\\$&')
    },
  )
  return `^${body}$`
}

const NEVER: RewriteCondition = { subject: Expansion.none, test: () => null, captures: false, or: false }

/** Whether the engine is on: the last line counts, wherever the rules stand. */
function rewrites(list: readonly Directive[]): boolean {
  const last = list.findLast(({ key }) => key === 'rewriteengine')
  return last !== undefined && /^on$/i.test(new Words(last.args).next())
}

/** Whether two names differ by one letter, or by two that changed places. */
function isNear(a: string, b: string): boolean {
  if (a === b || Math.abs(a.length - b.length) > 1) return false
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  let j = 0
  while (j < Math.min(a.length, b.length) - i && a[a.length - 1 - j] === b[b.length - 1 - j]) j++
  const [left, right] = [a.slice(i, a.length - j), b.slice(i, b.length - j)]
  return left.length <= 1 && right.length <= 1
    ? true
    : left.length === 2 && left[0] === right[1] && left[1] === right[0]
}
