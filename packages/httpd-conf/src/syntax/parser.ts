import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Place, Report } from '../diagnostics.ts'
import type { Files } from './files.ts'
import { matchesVersion } from './version.ts'
import { Words } from './words.ts'

/** A directive or a section. Variables are expanded and conditional sections are resolved. */
export interface Directive {
  /** The name as written; that of a section with its `<`. */
  readonly name: string
  /** The name in lower case. */
  readonly key: string
  /** The text after the name; that of a section without its `>`. */
  readonly args: string
  readonly place: Place
  /** The directives in a section; `undefined` for a directive that is not a section. */
  readonly children: readonly Directive[] | undefined
}

/** What conditional sections, variables and Include refer to. */
export interface Surroundings {
  readonly files: Files
  readonly report: Report
  /** Variables of the process, which Define and `-D` come before. httpd: ap_resolve_env. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Define: values by name; `undefined` for a variable that is defined without a value. */
  readonly variables: Map<string, string | undefined>
  /** The modules for which `<IfModule>` holds, by file name (`mod_proxy.c`) and by identifier (`proxy_module`). */
  readonly modules: Set<string>
  /** The version of httpd for `<IfVersion>`. */
  readonly version: string
  /** The folder that relative names start from; ServerRoot replaces it. */
  serverRoot: string
}

/** Lines whose variables are about files of httpd alone, such as APACHE_LOG_DIR. */
const NAMES_OF_FILES =
  /^(?:ErrorLog|CustomLog|TransferLog|ForensicLog|PidFile|Mutex|DefaultRuntimeDir|SSLSessionCache|SSLStaplingCache|User|Group)\s/i

/** httpd: AP_MAX_INCLUDE_DEPTH. */
const MAX_INCLUDE_DEPTH = 20
/** The largest number of files, because files that include one another could be read without end. */
const MAX_FILES = 1_000
/** The longest line, with its continuation lines and expanded variables. */
const MAX_LINE = 65_536
/** Modules that refuse, limit or redirect requests, or that say who a client is. */
const PROTECTING =
  /^(?:mod_)?(?:remoteip|ratelimit|security\d*|evasive\d*|qos|auth\w*|session\w*|substitute|dnsbl\w*|geoip|maxminddb)(?:\.c|_module)?$/

/** The deepest nesting of sections. */
const MAX_NESTING = 200
/** The largest number of characters from variables, because variables made of variables could grow without end. */
const MAX_EXPANSION = 4_000_000

/** A line with its continuation lines. */
interface Line {
  readonly text: string
  readonly place: Place
}

/**
 * The lines of a file. A backslash at the end of a line, also of a comment, joins the next line. httpd: ap_cfg_getline.
 */
function* linesOf(text: string, file: string): Generator<Line> {
  const physical = text.split('\n')
  if (physical.at(-1) === '') physical.pop()
  for (let i = 0; i < physical.length; ) {
    const first = i
    const parts: string[] = []
    for (; i < physical.length; i++) {
      const part = (physical[i] as string).replace(/\r$/, '')
      if (!part.endsWith('\\') || i === physical.length - 1) {
        parts.push(part)
        i++
        break
      }
      parts.push(part.slice(0, -1))
    }
    const whole = parts.join('')
    const source = physical.slice(first, i).join('\n')
    const indent = /^[ \t\v\f\r]*/.exec(whole)?.[0].length ?? 0
    yield {
      text: whole.replace(/^[ \t\n\v\f\r]+/, '').trimEnd(),
      place: { file, line: first + 1, column: indent + 1, text: source },
    }
  }
}

/** A section whose end is not read yet. */
interface Open {
  readonly name: string
  readonly key: string
  readonly args: string
  readonly place: Place
  readonly into: Directive[]
  /**
   * `section` becomes a node of the tree. `taken` is a conditional section whose condition holds: its content replaces
   * it. `skipped` is one whose condition does not hold: its content is not read.
   */
  readonly kind: 'section' | 'taken' | 'skipped'
}

/**
 * Reads a configuration into a tree. The content of an included file replaces its Include. An error is reported and
 * does not stop the reading.
 */
export class Parser {
  readonly #around: Surroundings
  #filesRead = 0
  #expanded = 0

  constructor(around: Surroundings) {
    this.#around = around
  }

  parse(text: string, file: string): Directive[] {
    const root: Directive[] = []
    this.#file(text, file, root, 0)
    return root
  }

  #file(text: string, file: string, root: Directive[], depth: number): void {
    this.#filesRead++
    const stack: Open[] = []
    for (const line of linesOf(text, file)) this.#line(line, stack, root, depth)
    const unclosed = stack.at(-1)
    if (unclosed !== undefined) {
      const message = `${unclosed.name}> was not closed.`
      this.#around.report.fail(unclosed, message, { expected: `</${unclosed.name.slice(1)}>` })
    }
  }

  #line({ text, place }: Line, stack: Open[], root: Directive[], depth: number): void {
    if (text === '' || text.startsWith('#')) return
    const { report } = this.#around
    const skipping = stack.at(-1)?.kind === 'skipped'
    const expanded = skipping ? text : this.#expand(text, place)
    if (expanded === undefined) return
    const words = new Words(expanded)
    const word = words.next()
    if (word === '') return
    if (word.startsWith('</')) {
      this.#close(word, place, stack, root)
      return
    }
    const name = word.replace(/>$/, '')
    if (name.startsWith('<')) {
      this.#open(name, words.rest === '' ? '>' : words.rest, place, stack, root)
      return
    }
    if (skipping) return
    const into = stack.at(-1)?.into ?? root
    const key = name.toLowerCase()
    if (key === 'define' || key === 'undefine') this.#define(name, key, words, place)
    else if (key === 'include' || key === 'includeoptional') this.#include(name, key, words, place, into, depth)
    else {
      if (key === 'serverroot') this.#around.serverRoot = new Words(words.rest).next()
      if (key === 'loadmodule') this.#load(new Words(words.rest).next())
      if (words.rest.includes('\0')) report.error({ name, place }, 'the line contains a NUL')
      else into.push({ name, key, args: words.rest, place, children: undefined })
    }
  }

  /** A module has an identifier and the name of its source file. */
  #load(identifier: string): void {
    this.#around.modules.add(identifier).add(`mod_${identifier.replace(/_module$/, '')}.c`)
  }

  #open(name: string, args: string, place: Place, stack: Open[], root: Directive[]): void {
    const { report } = this.#around
    const above = stack.at(-1)
    const key = name.toLowerCase()
    const into = above?.into ?? root
    const push = (kind: Open['kind'], children: Directive[], text: string): void => {
      if (stack.length >= MAX_NESTING)
        report.error({ name, place }, `sections are nested more than ${MAX_NESTING} deep`)
      stack.push({ name, key, args: text, place, into: children, kind: stack.length >= MAX_NESTING ? 'skipped' : kind })
    }
    if (above?.kind === 'skipped') {
      push('skipped', [], '')
      return
    }
    const end = args.lastIndexOf('>')
    if (end === -1) {
      const message = `${name}> directive missing closing '>'`
      report.fail({ name, place }, message)
      push('skipped', [], '')
      return
    }
    const inner = args.slice(0, end)
    if (key === '<ifmodule' || key === '<ifdefine' || key === '<ifversion' || key === '<iffile') {
      const holds = this.#holds(name, key, inner, place)
      push(holds ? 'taken' : 'skipped', into, '')
    } else push('section', [], inner)
  }

  #close(word: string, place: Place, stack: Open[], root: Directive[]): void {
    const { report } = this.#around
    const name = word.replace(/>$/, '')
    const open = stack.at(-1)
    if (open === undefined) {
      const message = `${word} without matching <${word.slice(2)} section`
      report.fail({ name: word, place }, message)
      return
    }
    if (!word.endsWith('>')) {
      const message = `${word}> directive missing closing '>'`
      report.fail({ name: word, place }, message)
    }
    if (name.slice(2).toLowerCase() !== open.key.slice(1)) {
      const message = `Expected </${open.name.slice(1)}> but saw ${name}>`
      report.fail({ name: word, place }, message, { expected: `</${open.name.slice(1)}>` })
      return
    }
    stack.pop()
    if (open.kind !== 'section') return
    const into = stack.at(-1)?.into ?? root
    into.push({ name: open.name, key: open.key, args: open.args, place: open.place, children: open.into })
  }

  /** Whether the condition of a section holds. httpd: start_cond_section, start_ifversion. */
  #holds(name: string, key: string, inner: string, place: Place): boolean {
    const { report, variables, modules, version, files } = this.#around
    if (key === '<ifversion') {
      const holds = matchesVersion(inner, version)
      if (typeof holds === 'boolean') return holds
      report.fail({ name, place }, holds)
      return false
    }
    const negated = inner.startsWith('!')
    const word = new Words(negated ? inner.slice(1) : inner).next()
    if (word === '') {
      const message = `${name}> directive requires additional arguments`
      report.fail({ name, place }, message)
      return false
    }
    if (key === '<ifdefine') return variables.has(word) !== negated
    if (key === '<iffile') return files.exists(this.#absolute(word)) !== negated
    const has = modules.has(word)
    if (!has && !negated && PROTECTING.test(word))
      report.warn({ name, place }, 'its lines are left out, because no LoadModule line names the module', {
        at: word,
        expected: `LoadModule ${word.replace(/^mod_|\.c$|_module$/g, '')}_module, if httpd has the module, so that its lines are checked`,
      })
    return has !== negated
  }

  /** Expands the variables of a whole line, before it is split into words. httpd: ap_resolve_env. */
  #expand(text: string, place: Place): string | undefined {
    const { variables, environment, report } = this.#around
    if (text.length > MAX_LINE) {
      report.error({ name: '', place }, `the line is longer than ${MAX_LINE} characters`)
      return undefined
    }
    if (!text.includes('${')) return text
    let length = 0
    const expanded = text.replace(/\$\{([^}]*)\}/g, (whole, name: string) => {
      const value = variables.get(name) ?? environment[name]
      if (value === undefined) {
        if (!name.includes(':') && !NAMES_OF_FILES.test(text))
          report.warn({ name: '', place }, `Config variable ${whole} is not defined`, { at: whole })
        return whole
      }
      length += value.length
      return length > MAX_LINE ? '' : value
    })
    this.#expanded += length
    if (length > MAX_LINE || expanded.length > MAX_LINE || this.#expanded > MAX_EXPANSION) {
      report.error({ name: '', place }, 'variables make the configuration too long')
      return undefined
    }
    return expanded
  }

  #define(name: string, key: string, words: Words, place: Place): void {
    const { report, variables } = this.#around
    const fail = (httpd: string): undefined => report.fail({ name, place }, httpd)
    const variable = words.next()
    const value = words.done || key === 'undefine' ? undefined : words.next()
    if (key === 'define' && (variable === '' || !words.done)) {
      fail(`${name} takes 1-2 arguments, a variable and an optional value`)
    } else if (key === 'undefine' && (variable === '' || !words.done))
      fail(`${name} takes one argument, an existing variable`)
    else if (variable.includes(':')) fail("Variable name must not contain ':'")
    else if (key === 'undefine') variables.delete(variable)
    else if (value !== undefined || !variables.has(variable)) variables.set(variable, value)
  }

  #absolute(name: string): string {
    return isAbsolute(name) ? name : join(this.#around.serverRoot, name)
  }

  #include(name: string, key: string, words: Words, place: Place, into: Directive[], depth: number): void {
    const { report, files } = this.#around
    const optional = key === 'includeoptional'
    const pattern = words.next()
    if (pattern === '' || !words.done) {
      const message = `${name} takes one argument, Name${optional ? ' or pattern' : ''} of the config file to be included`
      report.error({ name, place }, message, { expected: 'one file name or pattern' })
      return
    }
    if (depth >= MAX_INCLUDE_DEPTH) {
      const message = `Exceeded maximum include depth of ${MAX_INCLUDE_DEPTH}, there appears to be a recursion.`
      report.fail({ name, place }, message, { at: pattern })
      return
    }
    const path = this.#absolute(pattern)
    const found = files.find(path)
    if (found.length === 0 && !optional) {
      const message = /[*?[]/.test(pattern)
        ? `No matches for the wildcard in '${path}', failing (use IncludeOptional if required)`
        : `Could not open configuration file ${path}: No such file or directory`
      report.error({ name, place }, message, { at: pattern })
    }
    for (const file of found) {
      if (this.#filesRead >= MAX_FILES) {
        report.error({ name, place }, `more than ${MAX_FILES} files are included`)
        return
      }
      const text = files.read(file)
      if (text !== undefined) this.#file(text, file, into, depth + 1)
      else report.error({ name, place }, `Could not open configuration file ${file}`, { at: pattern })
    }
  }
}

/** The folder of a file, which relative names start from without ServerRoot. */
export function folderOf(file: string): string {
  return dirname(resolve(file))
}
