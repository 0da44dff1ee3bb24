import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the repository. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block of code. */
export interface CodeBlock {
  /** Path from the root of the repository. */
  file: string
  /** Number of its first line of code, from 1. */
  line: number
  language: string
  /** The rest of the line after the language, such as `try=/chat`. */
  info: string
  code: string
}

/** A parsed Markdown file. */
export interface MarkdownFile {
  /** Path from the root of the repository. */
  file: string
  text: string
  blocks: CodeBlock[]
  /** Targets of links and images outside of code, as written. */
  links: string[]
  /** The anchors that GitHub makes for its headings. */
  anchors: Set<string>
  /** Headings, each with the text up to the next one. */
  sections: { level: number; title: string; body: string }[]
}

/** Every Markdown file of the repository. */
export function markdownFiles(): MarkdownFile[] {
  const skip = ['node_modules', '.git', '.cache', 'dist']
  return globSync('**/*.md', { cwd: ROOT, exclude: name => skip.some(part => name.split('/').includes(part)) })
    .sort()
    .map(readMarkdown)
}

export function readMarkdown(file: string): MarkdownFile {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const blocks: CodeBlock[] = []
  const sections: MarkdownFile['sections'] = []
  const prose: string[] = []
  let open: CodeBlock | undefined
  text.split('\n').forEach((line, i) => {
    const fence = /^\s*```(\S*)\s*(.*)$/.exec(line)
    if (open !== undefined) {
      if (fence === null) open.code += `${line}\n`
      else open = undefined
      return
    }
    if (fence !== null) {
      open = { file, line: i + 2, language: fence[1] ?? '', info: fence[2] ?? '', code: '' }
      blocks.push(open)
      return
    }
    prose.push(line)
    const heading = /^(#+) +(.*)$/.exec(line)
    if (heading !== null) sections.push({ level: heading[1]?.length ?? 0, title: heading[2] ?? '', body: '' })
    else if (sections.length > 0) (sections.at(-1) as { body: string }).body += `${line}\n`
  })
  const outsideCode = prose.join('\n').replace(/(`+)[^`]*?\1/g, '')
  const links = Array.from(outsideCode.matchAll(/\]\(([^)\s]+)\)/g), match => match[1] as string)
  return { file, text, blocks, links, anchors: anchorsOf(sections.map(({ title }) => title)), sections }
}

/** GitHub's rule: lower case, no punctuation, dashes for spaces, and a number after a repeated anchor. */
function anchorsOf(titles: string[]): Set<string> {
  const anchors = new Set<string>()
  for (const title of titles) {
    const slug = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '')
      .replaceAll(' ', '-')
    let anchor = slug
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`
    anchors.add(anchor)
  }
  return anchors
}

/** The path from the root of the repository, for messages. */
export const shown = (path: string): string => relative(ROOT, path)
