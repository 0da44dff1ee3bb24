import { boundedPattern } from '@ws-tunnel/core'
import { Scanner } from '../syntax/scanner.ts'
import { slowness } from './slowness.ts'

/** A pattern of httpd in JavaScript, or why there is none. */
export type Translated =
  | { readonly source: string; readonly flags: string; readonly groups: number }
  | { readonly problem: string }

/** The longest pattern, characters. */
const MAX_PATTERN = 2_000

/** The characters of POSIX classes. */
const POSIX: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  upper: 'A-Z',
  lower: 'a-z',
  space: '\\t-\\r ',
  blank: '\\t ',
  punct: '!-\\/:-@\\[-`{-~',
  xdigit: '0-9A-Fa-f',
  word: '\\w',
  cntrl: '\\0-\\x1f\\x7f',
  print: ' -~',
  graph: '!-~',
}

/** Escapes outside a class that JavaScript does not have, or that mean other characters there. */
const ESCAPES: Readonly<Record<string, string>> = {
  A: '^',
  z: '$',
  Z: '(?=\\n?$)',
  a: '\\x07',
  e: '\\x1b',
  h: '[\\t ]',
  H: '[^\\t ]',
  s: '[\\t-\\r ]',
  S: '[^\\t-\\r ]',
  N: '[^\\n]',
}

/** Such escapes inside a class. */
const CLASS_ESCAPES: Readonly<Record<string, string>> = {
  a: '\\x07',
  e: '\\x1b',
  h: '\\t ',
  s: '\\t-\\r ',
  S: '\\0-\\x08\\x0e-\\x1f!-\\uffff',
}

class Problem extends Error {}

const NOT_COMPILED = 'Regular expression could not be compiled.'

/**
 * Translates a PCRE to JavaScript, with httpd's defaults DOTALL and DOLLAR_ENDONLY. Groups keep their numbers and lose
 * their names. A pattern without a counterpart in JavaScript is refused, and so is a pattern that is not proved to be
 * fast.
 */
export function translateRegex(pattern: string, ignoreCase = false): Translated {
  if (pattern.length > MAX_PATTERN) return { problem: `the pattern is longer than ${MAX_PATTERN} characters` }
  try {
    const { source, flags, groups } = new Translation(pattern, ignoreCase)
    new RegExp(source, flags)
    const slow = slowness(source, flags)
    return slow === undefined ? { source, flags, groups } : { problem: slow }
  } catch (error) {
    return { problem: error instanceof Problem ? error.message : NOT_COMPILED }
  }
}

/** Compiles a pattern of httpd. @returns the problem, if there is one. */
export function compileRegex(pattern: string, ignoreCase = false): RegExp | string {
  const translated = translateRegex(pattern, ignoreCase)
  return 'problem' in translated ? translated.problem : boundedPattern(new RegExp(translated.source, translated.flags))
}

class Translation {
  readonly source: string
  readonly flags: string
  readonly groups: number
  readonly #scanner: Scanner
  /** The numbers of named groups. */
  readonly #names = new Map<string, number>()
  #groups = 0
  #highestReference = 0

  constructor(pattern: string, ignoreCase: boolean) {
    this.#scanner = new Scanner(pattern)
    this.flags = this.#inlineFlags(ignoreCase ? 'si' : 's')
    let source = ''
    while (!this.#scanner.done) source += this.#piece()
    if (this.#highestReference > this.#groups) throw new Problem(NOT_COMPILED)
    this.source = source
    this.groups = this.#groups
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    return this.#scanner.take(sticky)
  }

  #inlineFlags(given: string): string {
    let flags = given
    for (const flag of this.#take(/\(\?([a-z]+)\)/y)?.[1] ?? '') {
      if (!'ism'.includes(flag)) throw new Problem(`(?${flag}) has no counterpart in JavaScript`)
      if (!flags.includes(flag)) flags += flag
    }
    return flags
  }

  #piece(): string {
    const { text, at } = this.#scanner
    if (text[at] === '\\') return this.#escape()
    if (text[at] === '[') return this.#class()
    if (text[at] === '(') return this.#group()
    if (this.#take(/[*+?}]\+/y) !== null) throw new Problem('possessive quantifiers have no counterpart in JavaScript')
    // A ] or } alone stands for itself in PCRE, and also in JavaScript without the flag u.
    return this.#scanner.char()
  }

  #escape(): string {
    if (this.#take(/\\Q/y) !== null) {
      const literal = (this.#take(/(.*?)(?:\\E|$)/sy) as RegExpExecArray)[1] as string
      return literal.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    }
    if (this.#take(/\\E/y) !== null) return ''
    const hex = this.#hex()
    if (hex !== undefined) return hex
    const [, angle, brace, quote] = this.#take(/\\k(?:<(\w+)>|\{(\w+)\}|'(\w+)')/y) ?? []
    const name = angle ?? brace ?? quote
    if (name !== undefined) return this.#reference(name)
    const number = this.#take(/\\([1-9]\d?)/y)?.[1]
    if (number !== undefined) {
      this.#highestReference = Math.max(this.#highestReference, Number(number))
      return referenceTo(number)
    }
    const escaped = this.#take(/\\(.)/sy)
    if (escaped === null) throw new Problem(NOT_COMPILED)
    const letter = escaped[1] as string
    if (Object.hasOwn(ESCAPES, letter)) return ESCAPES[letter] as string
    if (/[a-zA-Z]/.test(letter) && !'bBdDwWfnrtvx0c'.includes(letter))
      throw new Problem(`\\${letter} has no counterpart in JavaScript`)
    return escaped[0]
  }

  /** `\x{h}` and `\x{hh}`. */
  #hex(): string | undefined {
    const digits = this.#take(/\\x\{([0-9a-fA-F]{1,2})\}/y)?.[1]
    return digits === undefined ? undefined : `\\x${digits.padStart(2, '0')}`
  }

  #reference(name: string): string {
    const number = this.#names.get(name)
    if (number === undefined) throw new Problem(NOT_COMPILED)
    return referenceTo(String(number))
  }

  #group(): string {
    if (this.#take(/\(\*/y) !== null) throw new Problem('(*VERB) has no counterpart in JavaScript')
    if (this.#take(/\(\?#[^)]*\)/y) !== null) return ''
    const named = this.#take(/\(\?P?<([A-Za-z_]\w*)>|\(\?'([A-Za-z_]\w*)'/y)
    if (named !== null) {
      this.#names.set((named[1] ?? named[2]) as string, ++this.#groups)
      return '('
    }
    const reference = this.#take(/\(\?P=(\w+)\)/y)?.[1]
    if (reference !== undefined) return this.#reference(reference)
    const special = this.#take(/\((\?(?:[:=!]|<[=!]))/y)
    if (special !== null) return special[0]
    if (this.#take(/\(\?/y) !== null) throw new Problem('this kind of group has no counterpart in JavaScript')
    this.#groups++
    return this.#scanner.char()
  }

  #class(): string {
    // A ] right after the opening bracket stands for itself.
    const start = this.#take(/\[\^?\]?/y) as RegExpExecArray
    let source = start[0].replace(/\]$/, '\\]')
    while (!this.#scanner.done) {
      const unit = this.#classUnit()
      source += unit
      if (unit === ']') return source
    }
    throw new Problem(NOT_COMPILED)
  }

  #classUnit(): string {
    const posix = this.#take(/\[:(\^?)(\w+):\]/y)
    if (posix !== null) {
      const set = POSIX[posix[2] as string]
      if (set === undefined || posix[1] === '^') throw new Problem(`${posix[0]} has no counterpart in JavaScript`)
      return set
    }
    const hex = this.#hex()
    if (hex !== undefined) return hex
    const escaped = this.#take(/\\(.)/sy)
    if (escaped === null) return this.#scanner.char()
    const letter = escaped[1] as string
    if (Object.hasOwn(CLASS_ESCAPES, letter)) return CLASS_ESCAPES[letter] as string
    if (/[a-zA-Z]/.test(letter) && !'bdDwWfnrtvx0c'.includes(letter))
      throw new Problem(`\\${letter} in a class has no counterpart in JavaScript`)
    return escaped[0]
  }
}

/** A back reference. The empty group separates it from a digit that follows. */
const referenceTo = (number: string): string => `\\${number}(?:)`
