import { extname, join } from 'node:path'
import type { Alias, Server } from '../directives/model.ts'
import { prefixLength } from '../rules/redirects.ts'
import { splitWords } from '../syntax/words.ts'
import type { FileSystem } from './server.ts'
import { neverMatches, sectionPattern } from './variants.ts'

/** What a response of the server itself is replaced by (ErrorDocument): a text, a URL, a file, or a path that leads to no file. */
export type ErrorDocument =
  | { readonly text: string }
  | { readonly url: string }
  | { readonly page: string; readonly type: string }
  | { readonly path: string }

/** The types of files that are pages. */
const TYPES: Readonly<Record<string, string>> = {
  '.txt': 'text/plain; charset=utf-8',
  '.json': 'application/json',
  '.xml': 'text/xml',
  '.svg': 'image/svg+xml',
}

/** The ErrorDocument lines by status. The files are read once. httpd: set_error_document. */
export function compileErrorDocuments(server: Server, system: FileSystem): Map<number, ErrorDocument> {
  const documents = new Map<number, ErrorDocument>()
  for (const [key, line] of server.standalone) {
    const status = /^errordocument (\d+)$/.exec(key)?.[1]
    if (status === undefined) continue
    const text = line.args.trim().replace(/^\d+\s*/, '')
    const value = splitWords(text).join(' ')
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) documents.set(Number(status), { url: value })
    else if (value.startsWith('/')) documents.set(Number(status), localDocument(value, server, system))
    else if (value.toLowerCase() !== 'default') documents.set(Number(status), { text: value })
  }
  return documents
}

/** The file below DocumentRoot, unless a ProxyPass line leads the path to a backend. */
function localDocument(path: string, server: Server, { files }: FileSystem): ErrorDocument {
  const { documentRoot } = server
  const name = path.replace(/\?.*$/s, '')
  const page = documentRoot === undefined || isProxied(name, server) ? undefined : files.read(join(documentRoot, name))
  if (page === undefined) return { path }
  return { page, type: TYPES[extname(name).toLowerCase()] ?? 'text/html' }
}

/** Whether the first ProxyPass line that matches a path has a backend. httpd: proxy_trans. */
function isProxied(path: string, { locations, aliases }: Server): boolean {
  const inSections = locations
    .filter(each => each.scope.alias !== undefined && !neverMatches(each) && sectionPattern(each).test(path))
    .map(({ scope }) => scope.alias as Alias)
    .reverse()
  const matches = ({ regex, fake }: Alias): boolean =>
    regex === undefined ? prefixLength(path, fake) !== undefined : new RegExp(regex.source, regex.flags).test(path)
  const first = [...inSections, ...aliases].find(matches)
  return first !== undefined && first.real !== '!'
}
