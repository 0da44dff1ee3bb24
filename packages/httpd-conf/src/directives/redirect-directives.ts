import { compileRegex } from '../patterns/translate-regex.ts'
import type { Redirect } from '../rules/redirects.ts'
import { readRequestText } from '../rules/request-expression.ts'
import type { Directive } from '../syntax/parser.ts'
import { atoi } from '../syntax/values.ts'
import { splitWords } from '../syntax/words.ts'
import type { Context, Handler, Handlers } from './directive-kit.ts'

/** Redirect and its variants. httpd: add_redirect_internal. */
export const REDIRECT_DIRECTIVES: Handlers = {
  redirect: redirect(undefined, false),
  redirectmatch: redirect(undefined, true),
  redirectpermanent: redirect(301, false),
  redirecttemp: redirect(302, false),
}

const COUNTS = {
  any: 'one, two or three arguments, an optional status, then document to be redirected and destination URL',
  fixed: 'two arguments, a document to be redirected, then the destination URL',
} as const

const NAMED: Readonly<Record<string, number>> = { permanent: 301, temp: 302, seeother: 303, gone: 410 }

function redirect(fixed: number | undefined, match: boolean): Handler {
  return (directive, context) => {
    const read = readRedirect(directive, context, fixed, match)
    if (read !== undefined) context.scope.redirects.push(read)
  }
}

function readRedirect(
  directive: Directive,
  context: Context,
  fixed: number | undefined,
  match: boolean,
): Redirect | undefined {
  const { report, server } = context
  const { name, place } = directive
  const words = splitWords(directive.args)
  const fail = (httpd: string, at?: string): undefined => report.fail(directive, httpd, { at })
  if (words.length === 0 || words.length > (fixed === undefined ? 3 : 2))
    return fail(`${name} takes ${COUNTS[fixed === undefined ? 'any' : 'fixed']}`)
  if (fixed !== undefined && words.length === 1) return fail(`${name} takes ${COUNTS.fixed}`)
  const [first = ''] = words
  const named = fixed ?? NAMED[first.toLowerCase()] ?? (/^\d/.test(first) ? atoi(first) : undefined)
  if (fixed === undefined && words.length === 3 && named === undefined)
    return fail('Redirect: invalid first argument (of three)', first)
  const rest = fixed === undefined && named !== undefined ? words.slice(1) : words
  const status = named ?? 302
  const isRedirect = status >= 300 && status < 400
  if (!isRedirect && rest.length > 1) return fail('Redirect URL not valid for this status', rest[1])
  if (status < 300 || status > 599)
    return report.refuse(directive, `the status ${status} is not supported`, { at: first })
  server.needsPath = true
  const isWhole = context.location !== undefined || context.outer !== undefined
  if (!match && isWhole && rest.length === (isRedirect ? 1 : 0)) {
    if (!isRedirect) return { name, place, status, from: undefined, to: undefined }
    const text = readRequestText(rest[0] as string)
    if ('problem' in text) return report.refuse(directive, text.problem, { at: rest[0] as string })
    return { name, place, status, from: undefined, to: text }
  }
  const [from = '', to] = rest
  if (from === '') return fail('URL to redirect to is missing')
  const regex = match ? compileRegex(from) : undefined
  if (typeof regex === 'string')
    return report.error(directive, regex, { at: from, httpd: 'Regular expression could not be compiled.' })
  if (isRedirect && to === undefined) return fail('URL to redirect to is missing')
  if (isRedirect && !match && !/^[a-z][a-z0-9+.-]*:\/\//i.test(to as string) && !to?.startsWith('/'))
    return fail('Redirect to non-URL', to)
  return { name, place, status, from: regex ?? from, to }
}
