import type { WatchedFile } from '../syntax/watched-file.ts'
import { bytesOf, escapePath, textOf } from './escapes.ts'

/** A RewriteMap: the value of a key, or `undefined`. */
export type RewriteMap = (key: string) => string | undefined

/** The maps `int:`. httpd: rewrite_mapfunc_toupper and its neighbours. */
export const INTERNAL_MAPS: Readonly<Record<string, RewriteMap>> = {
  toupper: key => key.toUpperCase(),
  tolower: key => key.toLowerCase(),
  escape: key => escapePath(key),
  unescape: key =>
    textOf(bytesOf(key).replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))),
}

/** Reads a map file: a key and its value in each line. Of several lines of one key, the first counts. httpd: lookup_map_txtfile. */
export function readMapFile(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^([^#\s]\S*)\s+(\S+)/.exec(line) ?? []
    if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value)
  }
  return values
}

/** A map `txt:`. */
export const textMap =
  (file: WatchedFile<ReadonlyMap<string, string>>): RewriteMap =>
  key =>
    file.read()?.get(key)

/** A map `rnd:`: one of the alternatives of the value, which `|` separates. */
export const randomMap =
  (file: WatchedFile<ReadonlyMap<string, string>>): RewriteMap =>
  key => {
    const choices = file.read()?.get(key)?.split('|')
    return choices?.[Math.floor(Math.random() * choices.length)]
  }
