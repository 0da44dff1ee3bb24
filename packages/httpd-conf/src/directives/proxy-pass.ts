import { translateRegex } from '../patterns/translate-regex.ts'
import { schemeOf } from '../syntax/backend-url.ts'
import type { Directive } from '../syntax/parser.ts'
import { keyAndValue } from '../syntax/values.ts'
import { splitWords } from '../syntax/words.ts'
import { type Context, flag, type Handlers, take23, take123 } from './directive-kit.ts'
import type { Alias, Mapping } from './model.ts'
import { defineBalancer, setParameter } from './proxy-set.ts'

/** ProxyPass, ProxyPassMatch, and the reverse mappings of fields that the backend sends. */
export const PROXY_PASS: Handlers = {
  proxypass: (directive, context) => pass(directive, context, false),
  proxypassmatch: (directive, context) => pass(directive, context, true),
  proxypassreverse: take123('a virtual path and a URL for reverse proxy behaviour', reverse),
  proxypassreversecookiepath: take23(
    'Path rewrite rule for proxying cookies',
    ([from, to, third], directive, context) => {
      refuseInterpolate(third, directive, context)
      context.scope.cookiePaths.push({ from, to })
    },
  ),
  proxypassreversecookiedomain: take23(
    'Domain rewrite rule for proxying cookies',
    ([from, to, third], directive, context) => {
      refuseInterpolate(third, directive, context)
      context.scope.cookieDomains.push({ from, to })
    },
  ),
  proxypassinterpolateenv: flag((on, { server }) => {
    server.interpolate = on
  }),
}

function refuseInterpolate(word: string | undefined, directive: Directive, { report }: Context): void {
  // Without a variable there is nothing to interpolate.
  if (word === undefined || !directive.args.includes('${')) return
  const name = /\$\{([^}]*)/.exec(directive.args)?.[1]
  report.refuse(directive, `interpolate of the variable ${name} is not supported: the URL of this line is fixed`, {
    at: word,
    expected: `a RewriteRule with [P] that has %{ENV:${name}} in the path, after a fixed host and port`,
  })
}

/** httpd: add_pass_reverse. */
function reverse(
  [first, second, third]: [string, string | undefined, string | undefined],
  directive: Directive,
  context: Context,
): undefined {
  const { report, location } = context
  const isPath = second !== undefined && !/^interpolate$/i.test(second)
  if (location === undefined) {
    if (!isPath) return report.fail(directive, 'ProxyPassReverse needs a path when not defined in a location')
    if (third !== undefined && !/^interpolate$/i.test(third))
      report.warn(directive, `"${third}" has no effect, in httpd too`, { at: third })
    else refuseInterpolate(third, directive, context)
    addReverse({ from: second, to: first }, directive, context)
  } else {
    if (isPath)
      return report.fail(directive, 'ProxyPassReverse can not have a path when defined in a location', { at: second })
    refuseInterpolate(second, directive, context)
    addReverse({ from: first, to: location.path }, directive, context)
  }
}

function addReverse(mapping: Mapping, directive: Directive, { report, scope }: Context): void {
  if (/^wss?:/i.test(mapping.from)) {
    report.warn(directive, `has no effect, in httpd too: backends send http: URLs, never ${schemeOf(mapping.from)}:`, {
      at: mapping.from,
      expected: mapping.from.replace(/^ws/i, 'http'),
    })
  }
  scope.reverses.push(mapping)
}

/** The words of a ProxyPass line. */
interface PassWords {
  fake: string | undefined
  real: string | undefined
  isRegex: boolean
  nocanon: boolean
  mapping: Alias['mapping']
  readonly parameters: Map<string, string>
}

/** httpd: add_pass. */
function pass(directive: Directive, context: Context, match: boolean): undefined {
  const { server, scope, location, section, report } = context
  const { place, name } = directive
  if (section === '<Proxy') return report.error(directive, 'not allowed in a <Proxy> section')
  const words = readWords(directive, context, match)
  if (words === undefined) return
  const { fake, real, nocanon, mapping, parameters } = words
  if (fake === undefined || real === undefined)
    return report.fail(directive, 'ProxyPass|ProxyPassMatch needs a path when not defined in a location')
  if (/^unix:/i.test(real) && !/^unix:[^|]+\|[a-z][a-z0-9+.-]*:/i.test(real))
    return report.fail(directive, 'ProxyPass|ProxyPassMatch uses an invalid "unix:" URL', { at: real })
  const regex =
    words.isRegex || (location !== undefined && /[*?[]/.test(fake)) ? readPattern(fake, directive, context) : undefined
  if (regex === null) return
  if (
    location?.regex !== undefined &&
    !match &&
    !words.isRegex &&
    regex === undefined &&
    /[\\^$.|()[\]*+?{}]/.test(fake)
  )
    report.warn(directive, 'httpd compares the pattern of the section as a literal path, which hardly ever matches', {
      expected: 'ProxyPassMatch',
    })
  if (real === '!') {
    if (mapping !== 'decoded')
      report.refuse(directive, 'with mapping= it does not exclude the path from lines without mapping=', {
        at: 'mapping',
      })
  } else {
    if (schemeOf(real) === '')
      return report.fail(directive, `ProxyPass URL must be absolute!: ${real}`, {
        at: real,
        expected: 'a URL with scheme and host',
      })
    const target = defineBalancer(real, directive, server) ?? new Map<string, string>()
    for (const pair of parameters) setParameter(target, pair, directive, context, { prefix: 'ProxyPass ', suffix: '' })
  }
  if (nocanon && real !== '!' && /[^\w~$\-.+!*'(),;:@&=/?#[\]|]/.test(real))
    report.refuse(directive, 'nocanon with a URL that is not in canonical form is not supported', { at: real })
  if (!fake.startsWith('/') && regex === undefined)
    report.warn(directive, 'a path that does not begin with a slash never matches, in httpd too', { at: fake })
  const alias: Alias = { name, place, fake, regex, real, nocanon, mapping, parameters }
  if (location === undefined) server.aliases.push(alias)
  else {
    if (scope.alias !== undefined)
      report.warn(
        directive,
        `a Location has one ProxyPass: this line replaces line ${scope.alias.place.line}, in httpd too`,
      )
    scope.alias = alias
  }
}

/** The pattern in JavaScript; `null` after an error. */
function readPattern(fake: string, directive: Directive, { report }: Context): NonNullable<Alias['regex']> | null {
  const translated = translateRegex(fake)
  if (!('problem' in translated)) return translated
  report.error(directive, translated.problem, { at: fake, httpd: 'Regular expression could not be compiled.' })
  return null
}

/** The words in their order: path and URL first, then flags and `key=value`; `undefined` after an error. */
function readWords(directive: Directive, context: Context, match: boolean): PassWords | undefined {
  const { server, location, report } = context
  const read: PassWords = {
    fake: location?.path,
    real: undefined,
    isRegex: match,
    nocanon: false,
    mapping: 'decoded',
    parameters: new Map(),
  }
  for (const word of splitWords(directive.args)) {
    const lower = word.toLowerCase()
    const pair = keyAndValue(word)
    if (read.fake === undefined) {
      if (word !== '~') read.fake = word
      else if (match) return report.fail(directive, "ProxyPassMatch invalid syntax ('~' usage).")
      else read.isRegex = true
    } else if (read.real === undefined) read.real = word
    else if (lower === 'nocanon') read.nocanon = true
    else if (lower === 'interpolate') {
      if (server.interpolate !== false) refuseInterpolate(word, directive, context)
    } else if (lower === 'noquery') report.ignore(directive, 'noquery has no effect for http and ws, in httpd too')
    else if (pair === undefined) {
      return report.fail(
        directive,
        location !== undefined && read.real.startsWith('/')
          ? 'ProxyPass|ProxyPassMatch can not have a path when defined in a location.'
          : "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.",
        { at: word, expected: 'key=value' },
      )
    } else {
      const [key, value] = pair
      const mapping = value.toLowerCase()
      if (key.toLowerCase() !== 'mapping') read.parameters.set(key.toLowerCase(), value)
      else if (mapping === 'encoded' || mapping === 'servlet') read.mapping = mapping
      else
        return report.fail(directive, 'unknown mapping', { at: word, expected: 'mapping=encoded or mapping=servlet' })
    }
  }
  return read
}
