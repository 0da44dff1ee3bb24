import type { IncomingMessage } from 'node:http'
import { type HeaderList, plainAddress, WsTunnelError } from '@ws-tunnel/core'
import { fieldOf } from './request.ts'

/** The X-Forwarded-* fields that ProxyAddHeaders adds, with the value that the proxy adds to each. */
export type ForwardedFields = readonly (readonly [name: string, value: string])[]

/**
 * Removes the values that the proxy has added to X-Forwarded-*, because in httpd RequestHeader lines apply before the
 * proxy adds them.
 *
 * @returns the values, for {@link addForwardedFields}.
 */
export function removeForwardedFields(headers: HeaderList, req: IncomingMessage, serverName: string): ForwardedFields {
  const fields: ForwardedFields = [
    ['X-Forwarded-For', plainAddress(req.socket.remoteAddress)],
    ['X-Forwarded-Host', fieldOf(req, 'host') ?? ''],
    ['X-Forwarded-Server', serverName],
  ]
  for (const [name, value] of fields) {
    const whole = headers.get(name) ?? value
    if (whole === value) headers.unset(name)
    else headers.set(name, whole.slice(0, -(value.length + ', '.length)))
  }
  return fields
}

/** Adds the values again. X-Forwarded-Host gets the Host field, which RequestHeader may have changed. */
export function addForwardedFields(headers: HeaderList, fields: ForwardedFields): void {
  for (const [name, value] of fields) {
    const added = name === 'X-Forwarded-Host' ? headers.get('host') : value
    if (added !== undefined) headers.set(name, headers.has(name) ? `${headers.get(name)}, ${added}` : added)
  }
}

/**
 * Counts Max-Forwards down. httpd: proxy_handler.
 *
 * @param most ProxyMaxForwards: the value for a request without the field; negative for none.
 * @throws {WsTunnelError} 400 for a value that is 0 or not a number.
 */
export function countForwards(headers: HeaderList, most: number, req: IncomingMessage): void {
  const text = headers.get('max-forwards')
  if (text === undefined) {
    if (most >= 0) headers.append('Max-Forwards', String(most))
    return
  }
  const value = /^\s*[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= 0))
    throw new WsTunnelError('WST_ERR_BAD_REQUEST', { detail: `Max-Forwards value '${text}' could not be parsed` })
  if (value === 0)
    throw new WsTunnelError('WST_ERR_BAD_REQUEST', { detail: `Max-Forwards has reached zero for ${req.method}` })
  headers.set('Max-Forwards', String(value - 1))
}
