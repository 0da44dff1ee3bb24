import type { HealthResponse } from '@ws-tunnel/core'
import { type Expression, readExpression, type Vocabulary } from './expression.ts'

/**
 * Reads the expression of ProxyHCExpr, which judges the response to a health check. It knows `%{REQUEST_STATUS}`,
 * `%{CONTENT_TYPE}`, `%{RESP:name}` and `resp('name')`, `%{HC_BODY}`, `%{HC:body}` and `hc('body')`.
 *
 * @returns the problem, if the expression has a part that is not supported.
 */
export function readHealthExpression(text: string): Expression<HealthResponse> | { readonly problem: string } {
  return readExpression(text, RESPONSES)
}

/** The first value of a field. */
const fieldOf = ({ headers }: HealthResponse, name: string): string => {
  const value = headers[name.toLowerCase()]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}

const ofCheck = ({ body }: HealthResponse, name: string): string => (name.toLowerCase() === 'body' ? body : '')

const RESPONSES: Vocabulary<HealthResponse> = {
  functions: {
    hc: (name, response) => ofCheck(response, name),
    resp: (name, response) => fieldOf(response, name),
  },
  read: text => {
    const pieces: ((response: HealthResponse, groups: readonly (string | undefined)[]) => string)[] = []
    for (const [whole, variable, group] of text.matchAll(/%\{([^}]*)\}|\$(\d)|[^%$]+|[%$]/g)) {
      if (variable !== undefined) {
        const reader = readerOf(variable)
        if (reader === undefined) return { problem: `${whole} is not supported` }
        pieces.push(reader)
      } else if (group !== undefined) pieces.push((_, groups) => groups[Number(group)] ?? '')
      else pieces.push(() => whole)
    }
    return (response, groups) => pieces.map(piece => piece(response, groups)).join('')
  },
}

function readerOf(name: string): ((response: HealthResponse) => string) | undefined {
  const [, call = '', argument = ''] = /^(\w+):(.*)$/s.exec(name) ?? []
  if (/^resp$/i.test(call)) return response => fieldOf(response, argument)
  if (/^hc$/i.test(call)) return response => ofCheck(response, argument)
  if (/^request_status$/i.test(name)) return ({ statusCode }) => String(statusCode)
  if (/^content_type$/i.test(name)) return response => fieldOf(response, 'content-type')
  if (/^hc_/i.test(name)) return response => ofCheck(response, name.slice(3))
  return undefined
}
