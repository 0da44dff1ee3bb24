import type { IncomingMessage } from 'node:http'
import { type Captures, type LocalAnswer, WsTunnelError } from '@ws-tunnel/core'
import { fieldOf } from './environment.ts'

/** What a redirecting RewriteRule says. */
export interface Redirect {
  readonly status: number
  readonly substitution: string
  /** `[NE]`: nothing is escaped. */
  readonly noEscape: boolean
  readonly query: { readonly append: boolean; readonly drop: boolean }
  /** A variable of the request; known ones only. */
  readonly variable: (name: string, req: IncomingMessage, path: string) => string
}

const TOKEN = /\\(.)|\$(\d)|%(\d)|%\{([^}]*)\}/gs

/** Names of the variables in a substitution. */
export const variablesIn = (substitution: string): string[] =>
  Array.from(substitution.matchAll(TOKEN), ([, , , , name]) => name).filter(name => name !== undefined)

/** The answer of a rule with [R]. httpd: do_expand, splitout_queryargs, hook_uri2file. */
export function redirect(rule: Redirect): (req: IncomingMessage, captures: Captures) => LocalAnswer {
  const { status, substitution, noEscape, query, variable } = rule
  return (req, { groups, conditionGroups, rest: path }) => {
    const expanded = substitution.replace(TOKEN, (_, char, group, condition, name) => {
      if (char !== undefined) return char
      if (name !== undefined) return variable(name, req, path)
      return (group === undefined ? conditionGroups[condition] : groups[group]) ?? ''
    })
    const url = req.url ?? ''
    const mark = expanded.indexOf('?')
    if (mark !== -1 && /%3f/i.test(url))
      throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a RewriteRule and an encoded "?"' })
    const given = /\?(.*)$/s.exec(url)?.[1]
    const added = mark === -1 ? undefined : expanded.slice(mark + 1)
    const args = joined(query.drop ? undefined : given, added, query.append)
    const target = mark === -1 ? expanded : expanded.slice(0, mark)
    const absolute = /^[a-z]+:\/\/[^/]*/i.test(target) ? target : `${ownOrigin(req)}${target}`
    const escaped = noEscape ? bytesOf(absolute) : escapeUrl(absolute)
    const tail = args && (noEscape || args === given ? bytesOf(args) : escapePath(args))
    const location = tail ? `${escaped}?${tail}` : escaped
    if (/[\0-\x20\x7f]/.test(location))
      throw new WsTunnelError('WST_ERR_FORBIDDEN_TARGET', { detail: 'a RewriteRule makes a Location with a space' })
    return { status, location }
  }
}

function joined(given: string | undefined, added: string | undefined, append: boolean): string | undefined {
  if (added === undefined) return given
  const args = !append ? added : added === '' ? given : given === undefined ? added : `${added}&${given}`
  return args?.replace(/&$/, '')
}

/** httpd: ap_construct_url with UseCanonicalName Off. */
function ownOrigin(req: IncomingMessage): string {
  const [scheme, usual] = 'encrypted' in req.socket ? ['https', '443'] : ['http', '80']
  const [, host = '', port = usual] = /^(.*?)(?::(\d*))?$/s.exec(fieldOf(req, 'host') ?? '') ?? []
  return `${scheme}://${host.toLowerCase()}${port === usual || port === '' ? '' : `:${port}`}`
}

const escapeUrl = (url: string): string => {
  const origin = /^[a-z]+:\/\/[^/]*/i.exec(url)?.[0] ?? ''
  return origin + escapePath(url.slice(origin.length))
}

/** httpd: ap_os_escape_path, which writes its escapes in lower case. */
const escapePath = (text: string): string =>
  bytesOf(text).replace(/[^\w$\-.+!*'(),:;@&=/~]/g, byte => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)

/** One character per byte; a lone surrogate is a byte that was no UTF-8. */
const bytesOf = (text: string): string =>
  text.replace(/[^\0-\x7f]/gu, char => {
    const code = char.codePointAt(0) as number
    return code >= 0xdc80 && code <= 0xdcff ? String.fromCharCode(code - 0xdc00) : Buffer.from(char).toString('latin1')
  })
