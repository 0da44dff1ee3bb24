import { resolve } from 'node:path'
import { InvalidArgumentError } from 'commander'
import type { Listen } from '../configuration/virtual-hosts.ts'

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

/** `[HOST:]PORT[=FILEPORT]` or `unix:PATH[=FILEPORT]`, the argument of `--listen`. */
export function readListen(text: string): Listen {
  const unix = /^unix:(.+?)(?:=(\d{1,5}))?$/.exec(text)
  if (unix !== null) {
    const [, path = '', filePort] = unix
    return {
      id: text,
      host: undefined,
      port: 0,
      filePort: filePort === undefined ? undefined : Number(filePort),
      path: resolve(path),
    }
  }
  const match = /^(?:(\[[0-9a-f:.]+\]|[\w.-]+|\*):)?(\d{1,5})(?:=(\d{1,5}))?$/i.exec(text)
  const [, host, port = '', filePort] = match ?? []
  if (match === null || Number(port) > 65_535 || Number(filePort ?? 0) > 65_535)
    throw new InvalidArgumentError('Expected [HOST:]PORT[=FILEPORT] or unix:PATH[=FILEPORT].')
  return {
    id: text,
    host: host === '*' ? undefined : host?.replace(/^\[|\]$/g, ''),
    port: Number(port),
    filePort: filePort === undefined ? undefined : Number(filePort),
  }
}

/** The largest number of workers. More than the machine has cores is of no use. */
const MAX_WORKERS = 256

/** A number of processes. */
export function readCount(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > MAX_WORKERS)
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_WORKERS}.`)
  return count
}

/** The path of a page. */
export function readPath(text: string): string {
  if (!/^(?:\/[\w.~-]+)+$/.test(text)) throw new InvalidArgumentError("Expected a path such as '/manager'.")
  return text
}

/** A number of seconds, 0 or more. */
export function readSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0)) throw new InvalidArgumentError('Expected a number of seconds.')
  return seconds
}
