import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The only way to the file system: Include and certificates. */
export interface Files {
  /** The text of a file; `undefined` if it cannot be read. */
  read(file: string): string | undefined
  /** The files a name or pattern stands for, sorted; a folder stands for all files in it. */
  find(pattern: string): string[]
  exists(file: string): boolean
}

/** Largest file that is read. */
const MAX_FILE = 16 * 1024 * 1024

/** Files of the machine. */
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
}
