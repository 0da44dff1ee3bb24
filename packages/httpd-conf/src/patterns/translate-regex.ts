import { slowness } from './slowness.ts'

/** A pattern of httpd as JavaScript says it, or why it cannot. */
export type Translated =
  | { readonly source: string; readonly flags: string; readonly groups: number }
  | { readonly problem: string }

const POSIX: Record<string, string> = {
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

/** Escapes that PCRE has and JavaScript does not know, outside a class. */
const ESCAPES: Record<string, string> = {
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

const CLASS_ESCAPES: Record<string, string> = {
  a: '\\x07',
  e: '\\x1b',
  h: '\\t ',
  s: '\\t-\\r ',
  S: '\\0-\\x08\\x0e-\\x1f!-\\uffff',
}

class Problem extends Error {}

/**
 * Says a PCRE in JavaScript, with httpd's defaults DOTALL and DOLLAR_ENDONLY. Groups keep their numbers and lose their
 * names. What JavaScript has no word for is refused, and so is what could take exponential time.
 */
export function translateRegex(pattern: string, ignoreCase = false): Translated {
  if (pattern.length > 2_000) return { problem: 'the pattern is longer than 2000 characters' }
  try {
    const translation = new Translation(pattern, ignoreCase)
    const { source, flags, groups } = translation
    new RegExp(source, flags)
    const slow = slowness(source, flags)
    return slow === undefined ? { source, flags, groups } : { problem: slow }
  } catch (error) {
    return { problem: error instanceof Problem ? error.message : 'Regular expression could not be compiled.' }
  }
}

/** A pattern of httpd, ready to run. */
export function compileRegex(pattern: string, ignoreCase = false): RegExp | string {
  const translated = translateRegex(pattern, ignoreCase)
  return 'problem' in translated ? translated.problem : new RegExp(translated.source, translated.flags)
}

class Translation {
  readonly source: string
  readonly flags: string
  readonly groups: number
  readonly #pattern: string
  readonly #names = new Map<string, number>()
  #at = 0
  #groups = 0
  #highestReference = 0

  constructor(pattern: string, ignoreCase: boolean) {
    this.#pattern = pattern
    let flags = ignoreCase ? 'si' : 's'
    const inline = /^\(\?([a-z]+)\)/.exec(pattern)
    if (inline !== null) {
      for (const flag of inline[1] as string) {
        if (flag === 'x' || !'ism'.includes(flag)) throw new Problem(`(?${flag}) has no counterpart in JavaScript`)
        if (!flags.includes(flag)) flags += flag
      }
      this.#at = inline[0].length
    }
    let source = ''
    while (this.#at < pattern.length) source += this.#piece()
    if (this.#highestReference > this.#groups) throw new Problem('Regular expression could not be compiled.')
    this.source = source
    this.flags = flags
    this.groups = this.#groups
  }

  #take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at
    const match = sticky.exec(this.#pattern)
    if (match !== null) this.#at += match[0].length
    return match
  }

  #piece(): string {
    const char = this.#pattern[this.#at] as string
    if (char === '\\') return this.#escape()
    if (char === '[') return this.#class()
    if (char === '(') return this.#group()
    if (this.#take(/[*+?}]\+/y) !== null) {
      throw new Problem('possessive quantifiers have no counterpart in JavaScript')
    }
    this.#at++
    // PCRE takes a lone ] or } for itself, and so does JavaScript without the u flag.
    return char
  }

  #escape(): string {
    if (this.#take(/\\Q/y) !== null) {
      const literal = (this.#take(/(.*?)(?:\\E|$)/sy) as RegExpExecArray)[1] as string
      return literal.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    }
    if (this.#take(/\\E/y) !== null) return ''
    const hex = this.#take(/\\x\{([0-9a-fA-F]{1,2})\}/y)
    if (hex !== null) return `\\x${(hex[1] as string).padStart(2, '0')}`
    const named = this.#take(/\\k(?:<(\w+)>|\{(\w+)\}|'(\w+)')/y)
    if (named !== null) return this.#reference((named[1] ?? named[2] ?? named[3]) as string)
    const number = this.#take(/\\([1-9]\d?)/y)
    if (number !== null) {
      this.#highestReference = Math.max(this.#highestReference, Number(number[1]))
      return `\\${number[1]}(?:)`
    }
    const escaped = this.#take(/\\(.)/sy)
    if (escaped === null) throw new Problem('Regular expression could not be compiled.')
    const letter = escaped[1] as string
    if (Object.hasOwn(ESCAPES, letter)) return ESCAPES[letter] as string
    if (/[a-zA-Z]/.test(letter) && !'bBdDwWfnrtvx0c'.includes(letter)) {
      throw new Problem(`\\${letter} has no counterpart in JavaScript`)
    }
    return escaped[0]
  }

  #reference(name: string): string {
    const number = this.#names.get(name)
    if (number === undefined) throw new Problem('Regular expression could not be compiled.')
    return `\\${number}(?:)`
  }

  #group(): string {
    if (this.#take(/\(\*/y) !== null) throw new Problem('(*VERB) has no counterpart in JavaScript')
    if (this.#take(/\(\?#[^)]*\)/y) !== null) return ''
    const named = this.#take(/\(\?P?<([A-Za-z_]\w*)>|\(\?'([A-Za-z_]\w*)'/y)
    if (named !== null) {
      this.#names.set((named[1] ?? named[2]) as string, ++this.#groups)
      return '('
    }
    const reference = this.#take(/\(\?P=(\w+)\)/y)
    if (reference !== null) return this.#reference(reference[1] as string)
    const special = this.#take(/\((\?(?:[:=!]|<[=!]))/y)
    if (special !== null) return special[0]
    if (this.#take(/\(\?/y) !== null) throw new Problem('this kind of group has no counterpart in JavaScript')
    this.#at++
    this.#groups++
    return '('
  }

  #class(): string {
    const start = this.#take(/\[\^?\]?/y) as RegExpExecArray
    let source = start[0].replace(/\]$/, '\\]')
    for (;;) {
      if (this.#at >= this.#pattern.length) throw new Problem('Regular expression could not be compiled.')
      const posix = this.#take(/\[:(\^?)(\w+):\]/y)
      if (posix !== null) {
        const set = POSIX[posix[2] as string]
        if (set === undefined || posix[1] === '^') throw new Problem(`${posix[0]} has no counterpart in JavaScript`)
        source += set
        continue
      }
      const hex = this.#take(/\\x\{([0-9a-fA-F]{1,2})\}/y)
      if (hex !== null) {
        source += `\\x${(hex[1] as string).padStart(2, '0')}`
        continue
      }
      const escaped = this.#take(/\\(.)/sy)
      if (escaped !== null) {
        const letter = escaped[1] as string
        if (Object.hasOwn(CLASS_ESCAPES, letter)) source += CLASS_ESCAPES[letter]
        else if (/[a-zA-Z]/.test(letter) && !'bdDwWfnrtvx0c'.includes(letter)) {
          throw new Problem(`\\${letter} in a class has no counterpart in JavaScript`)
        } else source += escaped[0]
        continue
      }
      const char = this.#pattern[this.#at++] as string
      source += char
      if (char === ']') return source
    }
  }
}
