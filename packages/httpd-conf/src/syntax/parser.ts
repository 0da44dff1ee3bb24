import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Place, Report } from '../diagnostics.ts'
import type { Files } from './files.ts'
import { matchesVersion } from './version.ts'
import { Words } from './words.ts'

/** One directive or section, variables expanded, conditional sections resolved. */
export interface Directive {
  /** As written; a section with its `<`. */
  readonly name: string
  /** Lower-case. */
  readonly key: string
  /** What follows the name, a section's without its `>`. */
  readonly args: string
  readonly place: Place
  /** A section's content. */
  readonly children: readonly Directive[] | undefined
}

/** What the conditional sections and variables of a configuration refer to. */
export interface Surroundings {
  readonly files: Files
  readonly report: Report
  /** Define: name -> value; `undefined` is defined without a value. */
  readonly variables: Map<string, string | undefined>
  /** Modules that count as loaded, `mod_proxy.c` and `proxy_module` alike. */
  readonly modules: Set<string>
  /** httpd's version for IfVersion. */
  readonly version: string
  /** Where relative names begin; ServerRoot replaces it. */
  serverRoot: string
}

/** httpd: AP_MAX_INCLUDE_DEPTH. */
const MAX_INCLUDE_DEPTH = 20
/** Files in all, so that files which include one another end. */
const MAX_FILES = 1_000
/** Longest line after continuation and expansion. */
const MAX_LINE = 65_536
/** Deepest nesting of sections. */
const MAX_NESTING = 200
/** Characters that variables may add in all, so that variables made of variables end. */
const MAX_EXPANSION = 4_000_000

/** A line with its continuations joined. */
interface Line {
  readonly text: string
  readonly place: Place
}

/** The lines of a file: a backslash before the line's end joins the next one, comments included. httpd: ap_cfg_getline. */
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

/** An open section while the file is read. */
interface Open {
  readonly name: string
  readonly key: string
  readonly args: string
  readonly place: Place
  readonly into: Directive[]
  /** `section` becomes a node; the content of `taken` stands in its place; `skipped` is passed over. */
  readonly kind: 'section' | 'taken' | 'skipped'
}

/** Reads a configuration into a tree, Include'd files in their places. Reports what is wrong and goes on. */
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
      this.#around.report.error(unclosed.place, unclosed.name, message, {
        expected: `</${unclosed.name.slice(1)}>`,
        httpd: message,
      })
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
      if (key === 'loadmodule') this.#around.modules.add(new Words(words.rest).next())
      if (words.rest.includes('\0')) report.error(place, name, 'a NUL in the line')
      else into.push({ name, key, args: words.rest, place, children: undefined })
    }
  }

  #open(name: string, args: string, place: Place, stack: Open[], root: Directive[]): void {
    const { report } = this.#around
    const above = stack.at(-1)
    const key = name.toLowerCase()
    const into = above?.into ?? root
    const push = (kind: Open['kind'], children: Directive[], text: string): void => {
      if (stack.length >= MAX_NESTING) report.error(place, name, `more than ${MAX_NESTING} sections in one another`)
      stack.push({ name, key, args: text, place, into: children, kind: stack.length >= MAX_NESTING ? 'skipped' : kind })
    }
    if (above?.kind === 'skipped') {
      push('skipped', [], '')
      return
    }
    const end = args.lastIndexOf('>')
    if (end === -1) {
      const message = `${name}> directive missing closing '>'`
      report.error(place, name, message, { httpd: message })
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
      report.error(place, word, message, { httpd: message })
      return
    }
    if (!word.endsWith('>')) {
      const message = `${word}> directive missing closing '>'`
      report.error(place, word, message, { httpd: message })
    }
    if (name.slice(2).toLowerCase() !== open.key.slice(1)) {
      const message = `Expected </${open.name.slice(1)}> but saw ${name}>`
      report.error(place, word, message, { expected: `</${open.name.slice(1)}>`, httpd: message })
      return
    }
    stack.pop()
    if (open.kind !== 'section') return
    const into = stack.at(-1)?.into ?? root
    into.push({ name: open.name, key: open.key, args: open.args, place: open.place, children: open.into })
  }

  /** Whether the content of a conditional section counts. httpd: start_cond_section, start_ifversion. */
  #holds(name: string, key: string, inner: string, place: Place): boolean {
    const { report, variables, modules, version, files } = this.#around
    if (key === '<ifversion') {
      const answer = matchesVersion(inner, version)
      if (typeof answer === 'boolean') return answer
      report.error(place, name, answer, { httpd: answer })
      return false
    }
    const negated = inner.startsWith('!')
    const word = new Words(negated ? inner.slice(1) : inner).next()
    if (word === '') {
      const message = `${name}> directive requires additional arguments`
      report.error(place, name, message, { httpd: message })
      return false
    }
    if (key === '<ifdefine') return variables.has(word) !== negated
    if (key === '<iffile') return files.exists(this.#absolute(word)) !== negated
    return modules.has(word) !== negated
  }

  /** httpd: ap_resolve_env, over the whole line before it is split into words. */
  #expand(text: string, place: Place): string | undefined {
    const { variables, report } = this.#around
    if (text.length > MAX_LINE) {
      report.error(place, '', `a line of more than ${MAX_LINE} characters`)
      return undefined
    }
    if (!text.includes('${')) return text
    let length = 0
    const expanded = text.replace(/\$\{([^}]*)\}/g, (whole, name: string) => {
      const value = variables.get(name)
      if (value === undefined) {
        if (!name.includes(':')) report.warn(place, '', `Config variable ${whole} is not defined`, { at: whole })
        return whole
      }
      length += value.length
      return length > MAX_LINE ? '' : value
    })
    this.#expanded += length
    if (length > MAX_LINE || expanded.length > MAX_LINE || this.#expanded > MAX_EXPANSION) {
      report.error(place, '', 'variables make the configuration too long')
      return undefined
    }
    return expanded
  }

  #define(name: string, key: string, words: Words, place: Place): void {
    const { report, variables } = this.#around
    const fail = (message: string): void => report.error(place, name, message, { httpd: message })
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
      report.error(place, name, message, { expected: 'one file name or pattern' })
      return
    }
    if (depth >= MAX_INCLUDE_DEPTH) {
      const message = `Exceeded maximum include depth of ${MAX_INCLUDE_DEPTH}, there appears to be a recursion.`
      report.error(place, name, message, { httpd: message, at: pattern })
      return
    }
    const path = this.#absolute(pattern)
    const found = files.find(path)
    if (found.length === 0 && !optional) {
      const message = /[*?[]/.test(pattern)
        ? `No matches for the wildcard in '${path}', failing (use IncludeOptional if required)`
        : `Could not open configuration file ${path}: No such file or directory`
      report.error(place, name, message, { at: pattern })
    }
    for (const file of found) {
      if (this.#filesRead >= MAX_FILES) {
        report.error(place, name, `more than ${MAX_FILES} files`)
        return
      }
      const text = files.read(file)
      if (text !== undefined) this.#file(text, file, into, depth + 1)
      else report.error(place, name, `Could not open configuration file ${file}`, { at: pattern })
    }
  }
}

/** The folder relative names begin at, where no ServerRoot says otherwise. */
export function folderOf(file: string): string {
  return dirname(resolve(file))
}
