import { withoutGroups } from '../patterns/edit-pattern.ts'
import { compileRegex, translateRegex } from '../patterns/translate-regex.ts'
import type { Directive } from '../syntax/parser.ts'
import { splitWords, Words } from '../syntax/words.ts'
import { ACCESS_DIRECTIVES } from './access-directives.ts'
import { type Context, type Handlers, isInServer } from './directive-kit.ts'
import { emptyScope, emptyServer, type Location, type ProxySection } from './model.ts'
import { NOT_OURS } from './not-ours.ts'
import { defineBalancer, setParameters } from './proxy-set.ts'
import { hasRewriting, isEngineOn, sectionRules } from './rewrite-directives.ts'

/** `<VirtualHost>`, `<Location>`, `<LocationMatch>`, `<Proxy>`. */
export const SECTIONS: Handlers = {
  '<virtualhost': virtualHost,
  '<location': (directive, context) => locationSection(directive, context, false),
  '<locationmatch': (directive, context) => locationSection(directive, context, true),
  '<proxy': proxySection,
  '<directory': (directive, context) => directorySection(directive, context, false),
  '<directorymatch': (directive, context) => directorySection(directive, context, true),
  '<proxymatch': proxyMatchSection,
  '<files': (directive, context) => filesSection(directive, context, false),
  '<filesmatch': (directive, context) => filesSection(directive, context, true),
}

function virtualHost(directive: Directive, context: Context): undefined {
  const { section, report } = context
  const { name, args, place, children = [] } = directive
  if (section === '<VirtualHost')
    return report.fail(directive, '<VirtualHost> cannot occur within <VirtualHost> section')
  if (section !== '') return report.fail(directive, `${name} not allowed in ${section}> context`)
  if (args.trim() === '') report.fail(directive, `${name}> directive requires additional arguments`)
  const server = emptyServer()
  server.ports.push(...splitWords(args).map(address => Number(/:(\d+)$/.exec(address)?.[1] ?? 0)))
  const engine = isEngineOn(children)
  if (engine !== undefined) server.rewrites = engine
  server.hasRewriting = hasRewriting(children)
  context.addHost({ place, server })
  context.read(children, {
    ...context,
    server,
    rewrites: engine ?? context.rewrites,
    scope: server.scope,
    section: '<VirtualHost',
    location: undefined,
    proxy: undefined,
  })
}

function locationSection(directive: Directive, context: Context, match: boolean): undefined {
  const { report, server } = context
  const { name, place, children = [] } = directive
  if (!isInServer(context)) return report.fail(directive, `${name} not allowed in ${context.section}> context`)
  const words = new Words(directive.args)
  let path = words.next()
  if (path === '') return report.fail(directive, `${name}> directive requires additional arguments`)
  const isPattern = match || path === '~'
  if (path === '~' && !match) path = words.next()
  const regex = isPattern || /[*?[]/.test(path) ? readPattern(path, isPattern, directive, context) : undefined
  if (regex === null) return
  if (!words.done) report.fail(directive, `Multiple ${name}> arguments not (yet) supported.`)
  if (regex === undefined && path.includes('//'))
    report.warn(
      directive,
      'never matches, in httpd too: sections are compared with a path whose runs of slashes are merged',
      { at: path },
    )
  const scope = { ...emptyScope(), ...sectionRules(path, children) }
  const rewrites = isEngineOn(children) ?? context.rewrites
  context.read(children, { ...context, rewrites, scope, section: name, location: { path, regex }, proxy: undefined })
  server.locations.push({ place, name, path, regex, scope })
}

/** The pattern of a section in JavaScript; `null` after an error. */
function readPattern(
  path: string,
  isPattern: boolean,
  directive: Directive,
  { report }: Context,
): NonNullable<Location['regex']> | null {
  const translated = translateRegex(isPattern ? path : shellPattern(path))
  if ('problem' in translated) {
    const httpd = isPattern ? { httpd: 'Regex could not be compiled' } : {}
    report.error(directive, translated.problem, { at: path, ...httpd })
    return null
  }
  if (withoutGroups(translated.source) === undefined) {
    report.refuse(directive, 'a section whose pattern has a back reference is not supported', { at: path })
    return null
  }
  return translated
}

/** A shell pattern as a regular expression; `*` and `?` match no slash. httpd: apr_fnmatch with APR_FNM_PATHNAME. */
export function shellPattern(pattern: string): string {
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

const REWRITING = ['rewriteengine', 'rewriterule', 'rewritecond', 'rewritebase', 'rewriteoptions']

/** Directives of a request that `<Proxy>` and `<ProxyMatch>` may set. */
const FOR_REQUESTS = 'requestheader header setenv setenvif setenvifnocase browsermatch browsermatchnocase'.split(' ')

/** What is supported in `<Proxy>` and `<ProxyMatch>`. */
const IN_PROXY_MATCH = [...Object.keys(ACCESS_DIRECTIVES), 'limitrequestbody', ...REWRITING, ...FOR_REQUESTS]

/** Directives that are supported in a `<Proxy>` section, or that are refused for another reason. */
const IN_PROXY = new Set([
  ...IN_PROXY_MATCH,
  ...'proxyset balancermember proxyhctemplate proxyhcexpr options'.split(' '),
])

/** A test of URLs: a shell pattern in which `*` matches slashes too, or a prefix. httpd: proxy_walk. */
function coverage(url: string): (backend: string) => boolean {
  if (!/[*?[]/.test(url)) return backend => backend.startsWith(url)
  const pattern = new RegExp(shellPattern(url).replaceAll('[^/]', '[^]'), 's')
  return backend => pattern.test(backend)
}

function readProxySection(directive: Directive, context: Context, url: string, covers: ProxySection['covers']): void {
  const { name, place, children = [] } = directive
  const scope = { ...emptyScope(), ...sectionRules(url, children) }
  const rewrites = isEngineOn(children) ?? context.rewrites
  context.read(children, { ...context, rewrites, scope, section: name, location: undefined, proxy: url })
  const counts = children.some(({ key }) => FOR_REQUESTS.includes(key) || REWRITING.includes(key))
  if (scope.access !== undefined || counts) context.server.proxySections.push({ place, name, url, covers, scope })
}

/** Directives of a `<Directory>` that concern a request which a rule of a section leads to a backend. */
const IN_DIRECTORY = new Set([...IN_PROXY_MATCH, 'options', '<files', '<filesmatch'])

/** A section of files. It counts only if a rule of a section can lead a request for a file to a backend. */
function directorySection(directive: Directive, context: Context, match: boolean): undefined {
  const { report, server, readsDirectories } = context
  const { name, args, children = [] } = directive
  if (!readsDirectories) {
    report.ignore(directive, OF_FILES)
    return
  }
  const words = new Words(args)
  let path = words.next()
  const isPattern = match || path === '~'
  if (path === '~' && !match) path = words.next()
  if (path === '') return report.fail(directive, `${name}> directive requires additional arguments`)
  const regex = isPattern || /[*?[]/.test(path) ? readPattern(path, isPattern, directive, context) : undefined
  if (regex === null) return
  const scope = { ...emptyScope(), ...sectionRules(path, children) }
  const rewrites = isEngineOn(children) ?? context.rewrites
  const counted = children.filter(({ key }) => IN_DIRECTORY.has(key))
  const directory = { path, regex }
  context.read(counted, {
    ...context,
    rewrites,
    scope,
    section: name,
    location: undefined,
    proxy: undefined,
    directory,
  })
  server.directories.push({ path, regex, scope })
}

const OF_FILES = 'it concerns files and requests that are not proxied, which your app handles'

/**
 * A section of files by their last name. As with `<Directory>`, its access control counts for a request that a rule of a
 * section leads to a backend: httpd has taken it for a file by then. httpd: ap_file_walk.
 */
function filesSection(directive: Directive, context: Context, match: boolean): undefined {
  const { report, server, readsDirectories, location, proxy, directory } = context
  const { name, args, children = [] } = directive
  if (!readsDirectories || location !== undefined || proxy !== undefined) {
    report.ignore(directive, OF_FILES)
    return
  }
  const words = new Words(args)
  let pattern = words.next()
  const isPattern = match || pattern === '~'
  if (pattern === '~' && !match) pattern = words.next()
  if (pattern === '') return report.fail(directive, `${name}> directive requires additional arguments`)
  const regex = readPattern(pattern, isPattern, directive, context)
  if (regex === null) return
  const test = new RegExp(regex.source, regex.flags)
  const scope = emptyScope()
  const isAccess = ({ key }: Directive): boolean => Object.hasOwn(ACCESS_DIRECTIVES, key)
  context.read(children.filter(isAccess), { ...context, scope, section: name })
  if (hasRewriting(children)) report.refuse(directive, 'rules in a section of files are not supported')
  if (scope.access !== undefined)
    server.fileSections.push({ matches: last => test.test(last), within: directory, scope })
}

function proxyMatchSection(directive: Directive, context: Context): undefined {
  const { children = [] } = directive
  const pattern = new Words(directive.args).next()
  const regex = compileRegex(pattern)
  if (typeof regex === 'string')
    return context.report.error(directive, regex, { at: pattern, httpd: 'Regex could not be compiled' })
  readProxySection(directive, context, pattern, url => regex.test(url))
  const other = children.find(({ key }) => !IN_PROXY_MATCH.includes(key) && !NOT_OURS.has(key))
  if (other !== undefined)
    context.report.refuse(other, 'it is not supported in a <ProxyMatch> section', {
      expected: 'the same line in a Location or in the server',
    })
}

function proxySection(directive: Directive, context: Context): void {
  const { name, args, children = [] } = directive
  const words = new Words(args)
  const url = words.next().replace(/^proxy:/i, '')
  defineBalancer(url, directive, context.server)
  const parameters = words.rest
  if (parameters !== '') setParameters(url, parameters, directive, context, '')
  readProxySection(directive, context, url, coverage(url))
  const other = children.find(({ key }) => !IN_PROXY.has(key) && !NOT_OURS.has(key))
  if (other !== undefined && !other.key.startsWith('sslproxy'))
    context.report.refuse(other, `it is not supported in a ${name}> section`, {
      expected: 'the same line in a Location or in the server',
    })
}
