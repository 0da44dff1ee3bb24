export function wrongOption(name: string, expected: string, got: unknown): never {
  throw new TypeError(
    `Expected \`${name}\` to be ${expected}, got ${typeof got === 'object' ? JSON.stringify(got) : String(got)}`,
  )
}
