import fs, { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Reads the files of Include and certificates. The option `files` reads the configuration file itself too. */
export interface Files {
  /** The text of a file; `undefined` if it cannot be read. */
  read(file: string): string | undefined
  /** The files that a name or a pattern stands for, sorted. A folder stands for all files below it. */
  find(pattern: string): string[]
  /** Whether there is such a file or folder. */
  exists(file: string): boolean
  /** A number that changes when the file does; `undefined` if it does not exist. Without it, files of users and maps are read for each request. */
  modified?(file: string): number | undefined
}

/** Not imported by name: a Node without it would fail there, before the core reports the version. */
const { globSync } = fs

/** The largest file that is read, bytes. */
const MAX_FILE = 16 * 1024 * 1024

/** The files of this machine. */
export const machineFiles: Files = {
  read(file) {
    try {
      return statSync(file).size > MAX_FILE ? undefined : readFileSync(file, 'utf8')
    } catch {
      return undefined
    }
  },
  find(pattern) {
    try {
      const names = /[*?[]/.test(pattern) ? globSync(pattern) : existsSync(pattern) ? [pattern] : []
      const files = names.flatMap(name =>
        statSync(name).isDirectory() ? globSync(join(name, '**')).filter(inner => statSync(inner).isFile()) : [name],
      )
      return files.toSorted()
    } catch {
      return []
    }
  },
  exists: file => existsSync(file),
  modified: file => statSync(file, { throwIfNoEntry: false })?.mtimeMs,
}
