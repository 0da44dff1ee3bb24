/** @throws {TypeError} always. The message names the option, what was expected and what it got. */
export function wrongOption(name: string, expected: string, got: unknown): never {
  const shown = typeof got === 'object' ? JSON.stringify(got) : String(got)
  throw new TypeError(`Expected \`${name}\` to be ${expected}, got ${shown}`)
}
