/** A pattern's source without groups that count; `undefined` where it refers to one. */
export function withoutGroups(source: string): string | undefined {
  if (/\\[1-9]/.test(source.replaceAll('\\\\', ''))) return undefined
  return source.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\((?!\?)/gs, unit => (unit === '(' ? '(?:' : unit))
}

/** Text that stands for itself in a pattern. */
export const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** JavaScript before 2025 has no flags inside a pattern. */
export function ignoringCase(source: string): string {
  return source.replace(/\\.|\[(?:\\.|[^\]\\])*\]|[a-zA-Z]/gs, unit => {
    if (unit.startsWith('\\')) return unit
    if (unit.startsWith('[')) {
      return unit.replace(
        /\\.|([a-zA-Z])-([a-zA-Z])|([a-zA-Z])/gs,
        (part, from?: string, to?: string, letter?: string) => {
          if (from !== undefined && to !== undefined)
            return `${from.toLowerCase()}-${to.toLowerCase()}${from.toUpperCase()}-${to.toUpperCase()}`
          return letter === undefined ? part : letter.toLowerCase() + letter.toUpperCase()
        },
      )
    }
    return `[${unit.toLowerCase()}${unit.toUpperCase()}]`
  })
}
