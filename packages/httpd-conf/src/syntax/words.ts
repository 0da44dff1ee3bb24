/** The characters for which C's isspace holds in the C locale. */
const SPACE = ' \t\n\v\f\r'

const isSpace = (char: string | undefined): boolean => char !== undefined && SPACE.includes(char)

/** Reads the arguments of a directive word by word. */
export class Words {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Whether nothing but white space is left. */
  get done(): boolean {
    this.#skipSpace()
    return this.#at >= this.#text.length
  }

  /** The text that is not read yet. */
  get rest(): string {
    return this.#text.slice(this.#at)
  }

  /**
   * The next word; `''` at the end. A word in quotes ends at the same quote or at the end of the line. A backslash
   * escapes a backslash and that quote, and nothing else. httpd: ap_getword_conf.
   */
  next(): string {
    this.#skipSpace()
    const text = this.#text
    const quote = text[this.#at]
    let word = ''
    if (quote === '"' || quote === "'") {
      let from = ++this.#at
      while (this.#at < text.length && text[this.#at] !== quote) {
        const next = text[this.#at + 1]
        if (text[this.#at] === '\\' && (next === quote || next === '\\')) {
          word += text.slice(from, this.#at) + next
          this.#at += 2
          from = this.#at
        } else this.#at++
      }
      word += text.slice(from, this.#at)
      if (this.#at < text.length) this.#at++
    } else {
      const from = this.#at
      while (this.#at < text.length && !isSpace(text[this.#at])) this.#at++
      word = text.slice(from, this.#at).replaceAll('\\\\', '\\')
    }
    this.#skipSpace()
    return word
  }

  /** The next word, which may be in braces and contain pairs of braces. httpd: ap_getword_conf2. */
  nextBraced(): string {
    this.#skipSpace()
    const text = this.#text
    if (text[this.#at] !== '{') return this.next()
    const from = ++this.#at
    for (let depth = 1; this.#at < text.length; this.#at++) {
      if (text[this.#at] === '{') depth++
      else if (text[this.#at] === '}' && --depth === 0) break
      else if (text[this.#at] === '\\' && text[this.#at + 1] === '\\') this.#at++
    }
    const word = text.slice(from, this.#at).replaceAll('\\\\', '\\')
    this.#at++
    this.#skipSpace()
    return word
  }

  #skipSpace(): void {
    while (isSpace(this.#text[this.#at])) this.#at++
  }
}

/** All words of a line. An empty word in quotes counts, except at the end. */
export function splitWords(text: string): string[] {
  const words = new Words(text)
  const list: string[] = []
  while (!words.done) list.push(words.next())
  return list
}

/**
 * The two or three arguments of a directive of mod_rewrite; `undefined` for fewer. A space after a backslash belongs to
 * the word, and the backslash stays in the word for the pattern. Text after the third argument is ignored. httpd:
 * parseargline.
 */
export function rewriteArguments(text: string): [string, string, string | undefined] | undefined {
  let at = 0
  const next = (): string | undefined => {
    while (isSpace(text[at])) at++
    if (at >= text.length) return undefined
    const quote = text[at] === '"' || text[at] === "'" ? text[at++] : undefined
    const from = at
    while (at < text.length && (quote === undefined ? !isSpace(text[at]) : text[at] !== quote))
      at += text[at] === '\\' && isSpace(text[at + 1]) ? 2 : 1
    return text.slice(from, at++)
  }
  const first = next()
  const second = at > text.length ? undefined : next()
  return first === undefined || second === undefined ? undefined : [first, second, next()]
}
