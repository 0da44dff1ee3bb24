import { lstatSync, type Stats, statSync } from 'node:fs'
import { bytesOf } from './escapes.ts'

/** A test of a file by its name. */
export type FileTest = (name: string) => boolean

const test =
  (look: typeof statSync, holds: (found: Stats) => boolean): FileTest =>
  name => {
    try {
      // The name is made of bytes, which need not be UTF-8.
      const found = look(Buffer.from(bytesOf(name), 'latin1'), { throwIfNoEntry: false })
      return found !== undefined && holds(found)
    } catch {
      return false
    }
  }

const isLink = test(lstatSync as typeof statSync, found => found.isSymbolicLink())

/** The tests of RewriteCond, by their letter. httpd: apply_rewrite_cond. */
export const FILE_TESTS: Readonly<Record<string, FileTest>> = {
  d: test(statSync, found => found.isDirectory()),
  f: test(statSync, found => found.isFile()),
  s: test(statSync, found => found.isFile() && found.size > 0),
  x: test(statSync, found => (found.mode & 0o111) !== 0),
  l: isLink,
  L: isLink,
  h: isLink,
}
