import { type BackrefEscaping, escapeBackref } from './escapes.ts'
import type { RewriteMap } from './rewrite-maps.ts'
import { type Reader, type RewriteState, readerOf } from './rewrite-variables.ts'

/** The groups of the pattern of a rule, and of the last condition that matched. */
export interface Backrefs {
  rule: readonly (string | undefined)[]
  condition: readonly (string | undefined)[]
}

/** `${map:key|default}` */
interface MapPiece {
  readonly map: string
  readonly maps: Maps
  readonly key: Expansion
  readonly otherwise: Expansion
}

type Piece = string | { readonly of: keyof Backrefs; readonly index: number } | Reader | MapPiece

/** RewriteMap by name. A map may be defined after the rule that names it. */
export type Maps = ReadonlyMap<string, RewriteMap>

/** An expanded text. */
export interface Expanded {
  readonly text: string
  /** Whether the `?` that begins the query is written in the substitution, and does not come from a value. */
  readonly markIsWritten: boolean
}

const NO_MAPS: Maps = new Map()

/** Reads `%{function:argument}`, which expressions have; `undefined` for a variable. */
type CallOf = (inner: string) => Reader | { readonly problem: string } | undefined

const NO_CALLS: CallOf = () => undefined

/** The text up to the brace that closes the one before `from`; `undefined` without it. */
function bracedAt(text: string, from: number): string | undefined {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return text.slice(from, i)
  }
  return undefined
}

/** Reads `map:key|default`; `undefined` without a colon. httpd: do_expand. */
function readMap(inner: string, maps: Maps): MapPiece | { readonly unknown: string } | undefined {
  const colon = inner.indexOf(':')
  if (colon === -1) return undefined
  let bar = inner.length
  for (let i = colon + 1, depth = 0; i < inner.length && bar === inner.length; i++) {
    if (inner[i] === '{') depth++
    else if (inner[i] === '}') depth--
    else if (inner[i] === '|' && depth === 0) bar = i
  }
  const key = Expansion.read(inner.slice(colon + 1, bar), maps)
  const otherwise = Expansion.read(inner.slice(bar + 1), maps)
  if ('unknown' in key) return key
  if ('unknown' in otherwise) return otherwise
  return { map: inner.slice(0, colon), maps, key, otherwise }
}

/** A text that may contain `$1`, `%1`, `%{VARIABLE}` and `${map:key}`. httpd: do_expand. */
export class Expansion {
  readonly #pieces: readonly Piece[]

  /** The empty text. */
  static readonly none: Expansion = new Expansion([])

  private constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  /** @returns the part that is not supported, or the problem with it, if the text has one. */
  static read(text: string, maps: Maps = NO_MAPS, callOf: CallOf = NO_CALLS): Expansion | { readonly unknown: string } {
    const pieces: Piece[] = []
    const tokens = /\\(.?)|\$(\d)|%(\d)|%\{((?:[^{}]|%\{[^{}]*\})*\}|[^}]*\})|\$\{|[^\\$%]+|[$%]/gsy
    for (let token = tokens.exec(text); token !== null; token = tokens.exec(text)) {
      const [whole, escaped, group, condition, variable] = token
      if (escaped !== undefined) pieces.push(escaped === '' ? '\\' : escaped)
      else if (group !== undefined) pieces.push({ of: 'rule', index: Number(group) })
      else if (condition !== undefined) pieces.push({ of: 'condition', index: Number(condition) })
      else if (variable !== undefined) {
        const inner = variable.slice(0, -1)
        const call = callOf(inner)
        if (call !== undefined && 'problem' in call) return { unknown: call.problem }
        const reader = call ?? readerOf(inner)
        if (reader === undefined) return { unknown: whole }
        pieces.push(reader)
      } else if (whole === '${') {
        const inner = bracedAt(text, tokens.lastIndex)
        const piece = inner === undefined ? undefined : readMap(inner, maps)
        if (piece === undefined) pieces.push(whole)
        else if ('unknown' in piece) return piece
        else {
          pieces.push(piece)
          tokens.lastIndex += (inner as string).length + 1
        }
      } else pieces.push(whole)
    }
    return new Expansion(pieces)
  }

  /** The text before the first piece that depends on the request. */
  get literalStart(): string {
    const dynamic = this.#pieces.findIndex(piece => typeof piece !== 'string')
    return this.#pieces.slice(0, dynamic === -1 ? this.#pieces.length : dynamic).join('')
  }

  /** The maps that the text names. */
  get mapNames(): string[] {
    return this.#pieces.flatMap(piece =>
      typeof piece === 'object' && 'map' in piece
        ? [piece.map, ...piece.key.mapNames, ...piece.otherwise.mapNames]
        : [],
    )
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
      else if ('map' in piece) {
        const key = piece.key.expand(state, backrefs).text
        part = piece.maps.get(piece.map)?.(key) ?? piece.otherwise.expand(state, backrefs).text
      } else {
        const value = backrefs[piece.of][piece.index] ?? ''
        part = escaping === undefined ? value : escapeBackref(value, escaping)
      }
      // The values of a map are as trusted as the configuration.
      const isOwn = written || (typeof piece === 'object' && 'map' in piece)
      if (part.includes('?') && (lastMark || markIsWritten === undefined)) markIsWritten = isOwn
      text += part
    }
    return { text, markIsWritten: markIsWritten ?? true }
  }
}
