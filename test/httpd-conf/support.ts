import assert from 'node:assert/strict'
import { type ExplainedOutcome, explain, type RouteOptions, type WsTunnelOptions } from '@ws-tunnel/core'
import { compileHttpdConf, type Diagnostic, type Files, formatDiagnostic, type HttpdConf } from '@ws-tunnel/httpd-conf'

type More = Omit<HttpdConf, 'text'>

/** The options of a configuration that must compile. */
export function optionsOf(text: string, more: More = {}): WsTunnelOptions {
  const { options, diagnostics } = compileHttpdConf({ text, ...more })
  assert.ok(options, diagnostics.map(formatDiagnostic).join('\n'))
  return options
}

export const routesOf = (text: string, more: More = {}): readonly RouteOptions[] => optionsOf(text, more).routes ?? []

/** The only route of a configuration. */
export function routeOf(text: string, more: More = {}): RouteOptions {
  const [route, ...others] = routesOf(text, more)
  assert.ok(route)
  assert.equal(others.length, 0)
  return route
}

/** The only route, with the settings of the first worker over it. */
export const servedOf = (text: string, more: More = {}): RouteOptions => ({
  ...routeOf(text, more),
  ...optionsOf(text, more).workers?.[0],
})

export const diagnosticsOf = (text: string, severity: Diagnostic['severity'], more: More = {}): Diagnostic[] =>
  compileHttpdConf({ text, ...more }).diagnostics.filter(diagnostic => diagnostic.severity === severity)

/** The messages of one severity, each with its directive. */
export const messagesOf = (text: string, severity: Diagnostic['severity'], more: More = {}): string[] =>
  diagnosticsOf(text, severity, more).map(({ directive, message }) => `${directive}: ${message}`)

/** The first diagnostic that is not about an ignored line. */
export const worstOf = (text: string): Diagnostic | undefined =>
  compileHttpdConf({ text }).diagnostics.find(({ severity }) => severity !== 'ignored')

/** A file system that has these files and no others. */
export const filesOf = (files: Record<string, string>): Files => ({
  read: file => files[file],
  exists: file => file in files,
  find: pattern => {
    const test = new RegExp(`^${pattern.replace(/[^\w*]/g, '\\$&').replaceAll('*', '[^/]*')}$`)
    return Object.keys(files)
      .filter(name => test.test(name))
      .toSorted()
  },
})

/**
 * What a proxy with this configuration does with a request: the host and the request target of the backend, or the
 * response.
 */
export async function outcomeOf(text: string, url: string, headers: Record<string, string> = {}): Promise<string> {
  const { outcome } = await explain(optionsOf(text), { url, headers: { host: 'h.test', ...headers } })
  return outcomeText(outcome)
}

export function outcomeText(outcome: ExplainedOutcome): string {
  if (outcome.kind === 'app') return 'app'
  if (outcome.kind === 'refused') return String(outcome.statusCode)
  if (outcome.kind === 'fallback') return 'function'
  if (outcome.kind === 'respond') return `${outcome.status} ${outcome.location ?? ''}`.trim()
  return `${outcome.backend.host} ${outcome.backend.requestLine.split(' ')[1]}`
}

/** The value of a header field that the backend gets; `undefined` if it does not get the field. */
export async function sentField(
  text: string,
  name: string,
  headers: Record<string, string | string[]> = {},
): Promise<string | undefined> {
  const { outcome } = await explain(optionsOf(text), { url: '/', headers: { host: 'h.test', ...headers } })
  assert.ok(outcome.kind === 'http' || outcome.kind === 'upgrade', JSON.stringify(outcome))
  const values = outcome.backend.headers.filter(([field]) => field.toLowerCase() === name.toLowerCase())
  return values.length === 0 ? undefined : values.map(([, value]) => value).join(', ')
}
