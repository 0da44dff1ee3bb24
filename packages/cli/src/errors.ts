/** The configuration or a file is wrong. The program prints the message and exits with 1. */
export class FileError extends Error {}

/** The command line is wrong in a way that only the command itself can detect. The program exits with 2. */
export class UsageError extends Error {}

/**
 * Runs a function that reads a configuration, and turns its file system errors into a {@link FileError}.
 *
 * @throws {FileError} when the file system refuses to read a file.
 */
export function readingFrom<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A code that begins with ERR_ comes from Node itself. It means a defect of this program, not a wrong file.
    if (typeof code === 'string' && !code.startsWith('ERR_')) throw new FileError(`cannot read ${file}: ${code}`)
    throw error
  }
}
