import { InvalidArgumentError } from 'commander'
import type { Listen } from './virtual-hosts.ts'

/** Makes an option repeatable: each value is parsed and appended. */
export const collect =
  <T>(parse: (text: string) => T) =>
  (text: string, previous: readonly T[] = []): readonly T[] => [...previous, parse(text)]

/** `NAME` or `NAME=VALUE`, the argument of `-D`. */
export function readDefinition(text: string): [name: string, value: string] {
  const equals = text.indexOf('=')
  return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)]
}

/** `NAME: VALUE`, the argument of `-H`. */
export function readField(text: string): [name: string, value: string] {
  const colon = text.indexOf(':')
  if (colon < 1) throw new InvalidArgumentError("Expected 'NAME: VALUE'.")
  return [text.slice(0, colon), text.slice(colon + 1).trim()]
}

/** `[HOST:]PORT[=FILEPORT]`, the argument of `--listen`. */
export function readListen(text: string): Listen {
  const match = /^(?:(\[[0-9a-f:.]+\]|[\w.-]+|\*):)?(\d{1,5})(?:=(\d{1,5}))?$/i.exec(text)
  const [, host, port = '', filePort] = match ?? []
  if (match === null || Number(port) > 65_535 || Number(filePort ?? 0) > 65_535)
    throw new InvalidArgumentError('Expected [HOST:]PORT[=FILEPORT].')
  return {
    id: text,
    host: host === '*' ? undefined : host?.replace(/^\[|\]$/g, ''),
    port: Number(port),
    filePort: filePort === undefined ? undefined : Number(filePort),
  }
}

/** A number of seconds, 0 or more. */
export function readSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0)) throw new InvalidArgumentError('Expected a number of seconds.')
  return seconds
}
