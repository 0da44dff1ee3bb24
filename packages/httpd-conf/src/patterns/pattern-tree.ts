/** A pattern of JavaScript, taken apart. */
export type Node =
  /** A character, a class, an escape, an anchor. */
  | { readonly kind: 'unit'; readonly source: string }
  /** `\1` */
  | { readonly kind: 'reference' }
  | { readonly kind: 'group'; readonly opening: string; readonly branches: Branches }
  | { readonly kind: 'repeat'; readonly node: Node; readonly least: number; readonly most: number }

/** What stands between `|`. */
export type Branches = readonly (readonly Node[])[]

export const isLookAround = (node: Node): node is Node & { kind: 'group' } =>
  node.kind === 'group' && /[=!]$/.test(node.opening)

const UNIT =
  /\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|c[a-zA-Z]|\d+|.)|\[(?:\\.|[^\]\\])*\]|\((?:\?(?:<?[=!]|:))?|[*+?]\??|\{\d+(?:,\d*)?\}\??|./gs

/** Takes a pattern apart that `RegExp` has accepted. */
export function parsePattern(source: string): Branches {
  const units = Array.from(source.matchAll(UNIT), ([unit]) => unit)
  let at = 0
  const branches = (): Branches => {
    const all: Node[][] = [[]]
    while (at < units.length && units[at] !== ')') {
      const unit = units[at++] as string
      const branch = all.at(-1) as Node[]
      const repeated = unit === '|' ? undefined : countsOf(unit)
      if (unit === '|') all.push([])
      else if (repeated !== undefined && branch.length > 0)
        branch.push({ kind: 'repeat', node: branch.pop() as Node, ...repeated })
      else if (unit.startsWith('(')) {
        branch.push({ kind: 'group', opening: unit, branches: branches() })
        at++
      } else branch.push(/^\\[1-9]/.test(unit) ? { kind: 'reference' } : { kind: 'unit', source: unit })
    }
    return all
  }
  return branches()
}

function countsOf(unit: string): { least: number; most: number } | undefined {
  if (unit.startsWith('*')) return { least: 0, most: Number.POSITIVE_INFINITY }
  if (unit.startsWith('+')) return { least: 1, most: Number.POSITIVE_INFINITY }
  if (unit.startsWith('?')) return { least: 0, most: 1 }
  const [, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(unit) ?? []
  if (least === undefined) return undefined
  if (comma === '') return { least: Number(least), most: Number(least) }
  return { least: Number(least), most: most === '' ? Number.POSITIVE_INFINITY : Number(most) }
}

/** It may match nothing, and hold all the same. */
export function isNullable(node: Node): boolean {
  switch (node.kind) {
    case 'unit':
      return /^(?:[$^]|\\[bB])$/.test(node.source)
    case 'reference':
      return true
    case 'group':
      return isLookAround(node) || node.branches.some(branch => branch.every(isNullable))
    case 'repeat':
      return node.least === 0 || isNullable(node.node)
  }
}
