/** Prints rows as a Markdown table. */
export function printTable(rows: readonly Record<string, string | number>[]): void {
  const names = Object.keys(rows[0] ?? {})
  const width = (name: string): number =>
    Math.max(...[name, ...rows.map(row => row[name])].map(cell => String(cell).length))
  const line = (cells: (string | number | undefined)[]): string =>
    `| ${cells.map((cell, i) => String(cell).padEnd(width(names[i] as string))).join(' | ')} |`
  console.log(line(names))
  console.log(`|${names.map(name => '-'.repeat(width(name) + 2)).join('|')}|`)
  for (const row of rows) console.log(line(names.map(name => row[name])))
}
