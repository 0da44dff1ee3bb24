import { type BackrefEscaping, escapeBackref } from './escapes.ts'
import { type Reader, type RewriteState, readerOf } from './rewrite-variables.ts'

/** The groups of the pattern of a rule, and of the last condition that matched. */
export interface Backrefs {
  rule: readonly (string | undefined)[]
  condition: readonly (string | undefined)[]
}

type Piece = string | { readonly of: keyof Backrefs; readonly index: number } | Reader

/** An expanded text. */
export interface Expanded {
  readonly text: string
  /** Whether the `?` that begins the query is written in the substitution, and does not come from a value. */
  readonly markIsWritten: boolean
}

/** A text that may contain `$1`, `%1` and `%{VARIABLE}`. httpd: do_expand. */
export class Expansion {
  readonly #pieces: readonly Piece[]

  /** The empty text. */
  static readonly none: Expansion = new Expansion([])

  private constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  /** @returns the part that is not supported, if the text has one. */
  static read(text: string): Expansion | { readonly unknown: string } {
    const pieces: Piece[] = []
    const tokens = /\\(.?)|\$(\d)|%(\d)|%\{([^}]*)\}|\$\{[^}]*:[^}]*\}|[^\\$%]+|[$%]/gs
    for (const [whole, escaped, group, condition, variable] of text.matchAll(tokens)) {
      if (escaped !== undefined) pieces.push(escaped === '' ? '\\' : escaped)
      else if (group !== undefined) pieces.push({ of: 'rule', index: Number(group) })
      else if (condition !== undefined) pieces.push({ of: 'condition', index: Number(condition) })
      else if (variable !== undefined) {
        const reader = readerOf(variable)
        if (reader === undefined) return { unknown: whole }
        pieces.push(reader)
      } else if (whole.startsWith('${')) return { unknown: whole }
      else pieces.push(whole)
    }
    return new Expansion(pieces)
  }

  /** The text before the first piece that depends on the request. */
  get literalStart(): string {
    const dynamic = this.#pieces.findIndex(piece => typeof piece !== 'string')
    return this.#pieces.slice(0, dynamic === -1 ? this.#pieces.length : dynamic).join('')
  }

  /** @param lastMark whether the last `?` begins the query, instead of the first one. */
  expand(state: RewriteState, backrefs: Backrefs, escaping?: BackrefEscaping, lastMark = false): Expanded {
    let text = ''
    let markIsWritten: boolean | undefined
    for (const piece of this.#pieces) {
      const written = typeof piece === 'string'
      let part: string
      if (written) part = piece
      else if (typeof piece === 'function') part = piece(state)
      else {
        const value = backrefs[piece.of][piece.index] ?? ''
        part = escaping === undefined ? value : escapeBackref(value, escaping)
      }
      if (part.includes('?') && (lastMark || markIsWritten === undefined)) markIsWritten = written
      text += part
    }
    return { text, markIsWritten: markIsWritten ?? true }
  }
}
