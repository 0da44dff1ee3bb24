import type { Files } from './files.ts'

/** A file that is read again when it has changed, as httpd reads files of users and of maps. */
export class WatchedFile<T> {
  readonly #files: Files
  readonly #file: string
  readonly #parse: (text: string) => T
  #modified: number | undefined
  #value: T | undefined

  constructor(files: Files, file: string, parse: (text: string) => T) {
    this.#files = files
    this.#file = file
    this.#parse = parse
  }

  /** The content of the file; `undefined` if it cannot be read. */
  read(): T | undefined {
    const modified = this.#files.modified?.(this.#file)
    if (modified !== undefined && modified === this.#modified) return this.#value
    const text = this.#files.read(this.#file)
    this.#value = text === undefined ? undefined : this.#parse(text)
    this.#modified = modified
    return this.#value
  }
}
