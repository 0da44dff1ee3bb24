/** A position in a text, for a parser that reads it piece by piece. */
export class Scanner {
  readonly text: string
  at = 0

  constructor(text: string) {
    this.text = text
  }

  get done(): boolean {
    return this.at >= this.text.length
  }

  /** Consumes what a sticky pattern matches at this position; `null` if it does not match. */
  take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.at
    const match = sticky.exec(this.text)
    if (match !== null) this.at += match[0].length
    return match
  }

  /** Consumes one character; `''` at the end. */
  char(): string {
    return this.text[this.at++] ?? ''
  }
}
