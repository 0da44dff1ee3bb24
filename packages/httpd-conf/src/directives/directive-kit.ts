import type { Report } from '../diagnostics.ts'
import type { Requirement } from '../rules/access.ts'
import type { Files } from '../syntax/files.ts'
import type { Directive } from '../syntax/parser.ts'
import type { Compat } from '../syntax/version.ts'
import { splitWords, Words } from '../syntax/words.ts'
import type { IfSection, Location, Scope, Server, VirtualHost } from './model.ts'

/** The position of a directive in the tree of sections, and where its handler writes to. */
export interface Context {
  readonly report: Report
  readonly compat: Compat
  readonly server: Server
  /** The settings of the section around the directive, or of the server. */
  readonly scope: Scope
  /**
   * The section around the directive as it is written: `<Location`, `<Proxy`, `<VirtualHost`; `''` at the top level.
   */
  readonly section: string
  /** The path of the Location around the directive. */
  readonly location: Pick<Location, 'path' | 'regex'> | undefined
  /** The `<Directory>` around the directive. */
  readonly directory?: Pick<Location, 'path' | 'regex'>
  /** Whether RewriteEngine is on for rules at this place. */
  readonly rewrites: boolean
  /** The `<If>` around the directive. */
  readonly outer?: IfSection
  /** Whether `<Directory>` counts: a rule of a section can lead a request for a file to a backend. */
  readonly readsDirectories: boolean
  /** Where Require lines go, in a section of them. */
  readonly requirements?: Requirement[]
  /** Whether a request with this method is concerned (`<Limit>`). */
  readonly concerns?: (method: string) => boolean
  readonly files: Files
  /** A file name as httpd resolves it, from ServerRoot. */
  readonly absolute: (name: string) => string
  /** The URL of the `<Proxy>` section around the directive. */
  readonly proxy: string | undefined
  /** Reads the directives of a section. */
  readonly read: (children: readonly Directive[], context: Context) => void
  readonly addHost: (host: VirtualHost) => void
}

/** Checks a directive as httpd does, and puts it into the model. */
export type Handler = (directive: Directive, context: Context) => void

/** Handlers by directive, lower-case. */
export type Handlers = Readonly<Record<string, Handler>>

/** Whether the directive is outside every section but `<VirtualHost>`. httpd: RSRC_CONF. */
export const isInServer = ({ section }: Context): boolean => section === '' || section === '<VirtualHost'

/** A directive that httpd allows in a server, but not in a section. */
export const serverOnly =
  (handler: Handler): Handler =>
  (directive, context) => {
    if (isInServer(context)) handler(directive, context)
    else context.report.fail(directive, `${directive.name} not allowed in ${context.section}> context`)
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
    if (list.length >= least && list.length <= most && list[0] !== '') handler(list, directive, context)
    else context.report.fail(directive, `${directive.name} takes ${count}, ${errmsg}`)
  }

/** A directive with one argument. `errmsg` is httpd's description of the argument. httpd: AP_INIT_TAKE1. */
export const take1 = (
  errmsg: string,
  handler: (value: string, directive: Directive, context: Context) => void,
): Handler =>
  words(1, 1, 'one argument', errmsg, (list, directive, context) => handler(list[0] as string, directive, context))

/** A directive with two or three arguments. httpd: AP_INIT_TAKE23. */
export const take23 = (
  errmsg: string,
  handler: (
    [first, second, third]: [string, string, string | undefined],
    directive: Directive,
    context: Context,
  ) => void,
): Handler =>
  words(2, 3, 'two or three arguments', errmsg, (list, directive, context) =>
    handler(list as [string, string, string | undefined], directive, context),
  )

/** A directive with one, two or three arguments. httpd: AP_INIT_TAKE123. */
export const take123 = (
  errmsg: string,
  handler: (
    [first, second, third]: [string, string | undefined, string | undefined],
    directive: Directive,
    context: Context,
  ) => void,
): Handler =>
  words(1, 3, 'one, two or three arguments', errmsg, (list, directive, context) =>
    handler(list as [string, string | undefined, string | undefined], directive, context),
  )

/** `on` or `off`, in any letter case. */
export const FLAG = /^(?:on|off)$/i

/** A directive that is On or Off. httpd: AP_INIT_FLAG. */
export const flag =
  (set: (on: boolean, context: Context, directive: Directive) => void): Handler =>
  (directive, context) => {
    const word = new Words(directive.args).next()
    if (FLAG.test(word)) set(word.toLowerCase() === 'on', context, directive)
    else context.report.fail(directive, `${directive.name} must be On or Off`)
  }
