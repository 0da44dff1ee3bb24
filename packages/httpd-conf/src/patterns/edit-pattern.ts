import { type AST, visitRegExpAST } from '@eslint-community/regexpp'
import { parsePattern } from './pattern-tree.ts'

/** The source of a pattern that matches exactly this text. */
export const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** The source of a pattern whose groups do not capture; `undefined` if it has a back reference. */
export function withoutGroups(source: string): string | undefined {
  const edits = new Edits(source)
  let refersBack = false
  visitRegExpAST(parsePattern(source), {
    onCapturingGroupEnter: ({ start, name }) => {
      const opening = name === null ? '(' : `(?<${name}>`
      edits.replace(start, start + opening.length, '(?:')
    },
    onBackreferenceEnter: () => {
      refersBack = true
    },
  })
  return refersBack ? undefined : edits.apply()
}

/**
 * The source of a pattern that needs no flag `i`: it matches both cases of each letter. JavaScript before 2025 has no
 * flags inside a pattern.
 */
export function ignoringCase(source: string): string {
  const edits = new Edits(source)
  visitRegExpAST(parsePattern(source), {
    onCharacterEnter: ({ start, end, raw, value, parent }) => {
      const other = otherCase(String.fromCodePoint(value))
      if (other === '' || parent.type === 'CharacterClassRange') return
      edits.replace(start, end, parent.type === 'CharacterClass' ? raw + other : `[${raw}${other}]`)
    },
    onCharacterClassRangeEnter: range => edits.replace(range.start, range.end, range.raw + otherCaseOf(range)),
  })
  return edits.apply()
}

/**
 * A letter in its other case; `''` for a character that has none. With the flag `i`, a letter of ASCII and another
 * letter never match each other.
 */
function otherCase(char: string): string {
  const other = char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase()
  return other === char || other.length !== 1 || isAscii(other) !== isAscii(char) ? '' : other
}

const isAscii = (char: string): boolean => char.charCodeAt(0) < 128

/** The letters of a range in their other case, as ranges. */
function otherCaseOf({ min, max }: AST.CharacterClassRange): string {
  return ['az', 'AZ']
    .map(([first = '', last = '']) => {
      const from = Math.max(min.value, first.charCodeAt(0))
      const to = Math.min(max.value, last.charCodeAt(0))
      return from > to ? '' : `${otherCase(String.fromCharCode(from))}-${otherCase(String.fromCharCode(to))}`
    })
    .join('')
}

/** Replacements in a text. */
class Edits {
  readonly #text: string
  readonly #list: { start: number; end: number; text: string }[] = []

  constructor(text: string) {
    this.#text = text
  }

  replace(start: number, end: number, text: string): void {
    this.#list.push({ start, end, text })
  }

  apply(): string {
    let done = ''
    let at = 0
    for (const { start, end, text } of this.#list.toSorted((a, b) => a.start - b.start)) {
      done += this.#text.slice(at, start) + text
      at = end
    }
    return done + this.#text.slice(at)
  }
}
