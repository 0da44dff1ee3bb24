import { subscribe } from 'node:diagnostics_channel'
import type { DiagnosticsMessages } from '../options/events.ts'

/** The text of the line for each message. */
const LINES: { readonly [Channel in keyof DiagnosticsMessages]: (message: DiagnosticsMessages[Channel]) => string } = {
  'ws-tunnel:open': ({ tunnel: { info } }) =>
    `${info.url} to ${info.target}, ${info.protocol}, route ${info.route}, ${info.handshakeTime.toFixed(1)} ms`,
  'ws-tunnel:adopted': ({ tunnel: { info } }) => `${info.url} to ${info.target}, from the old process`,
  'ws-tunnel:handover': ({ role, step }) => `${role}: ${step}`,
  'ws-tunnel:close': ({ tunnel: { info }, end }) =>
    `${info.url} to ${info.target}: ${end.reason}, ${end.bytesFromClient} bytes up, ${end.bytesFromBackend} down`,
  'ws-tunnel:error': ({ error, req }) => `${req.method} ${req.url}: ${error.message}`,
  'ws-tunnel:response': ({ req, statusCode, target }) => `${req.method} ${req.url}: ${statusCode} of ${target}`,
  'ws-tunnel:failover': ({ error, req, from, to }) =>
    `${req.method} ${req.url}: from ${from.url} to ${to.url} after ${error.code}`,
  'ws-tunnel:member': ({ member, before, after, change }) => `${member.url}: ${change}, '${before}' is '${after}'`,
  'ws-tunnel:health': ({ member }) => `${member.url}: checked, '${member.status}'`,
  'ws-tunnel:resolve': ({ hostname, urls, error }) => `${hostname}: ${error?.message ?? urls.join(', ')}`,
}

/** The test for a name that the patterns of `DEBUG` mean: separated by commas or spaces, `*` for any text, `-` excludes. */
export function debugTest(patterns: string): (name: string) => boolean {
  const all = patterns.split(/[\s,]+/).filter(Boolean)
  const tests = (list: string[]): RegExp[] =>
    list.map(text => new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`))
  const included = tests(all.filter(text => !text.startsWith('-')))
  const excluded = tests(all.filter(text => text.startsWith('-')).map(text => text.slice(1)))
  return name => included.some(test => test.test(name)) && !excluded.some(test => test.test(name))
}

let isStarted = false

/**
 * Prints the messages of the channels that the variable `DEBUG` names, as the package `debug` reads it: `DEBUG=ws-tunnel:*`
 * or `DEBUG=ws-tunnel:failover`. `util.debuglog` knows only the variable `NODE_DEBUG`.
 */
export function startDebugLog(): void {
  if (isStarted) return
  isStarted = true
  const { DEBUG = '' } = process.env
  const isNamed = debugTest(DEBUG)
  for (const [channel, line] of Object.entries(LINES)) {
    if (!isNamed(channel)) continue
    subscribe(channel, message => {
      process.stderr.write(`${channel} ${(line as (message: unknown) => string)(message)}\n`)
    })
  }
}
