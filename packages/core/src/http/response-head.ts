import { maxHeaderSize } from 'node:http'
import type { MessageHead } from './header-list.ts'
import { TOKEN_SOURCE } from './token.ts'
import { trimBlanks } from './trim-blanks.ts'

/** The parts of a 101's head that are checked and relayed. */
export interface ResponseHead extends MessageHead {
  readonly httpVersion: string
  readonly statusMessage?: string | undefined
}

/** An interim response (1xx). */
export interface InterimResponse {
  readonly statusCode: number
  readonly statusMessage: string
  readonly rawHeaders: string[]
}

/** A 101 must not have framing fields. Parsers disagree about a 101 that has them, so Node's parser reads its head. */
const FRAMING = /^(?:content-length|transfer-encoding)$/i
const MAX_FIELDS = 100

const SWITCH = /^HTTP\/1\.1 101(?: ([\x20-\x7e]*))?\r\n/
const SWITCH_START = 'HTTP/1.1 101'
const VALUE_SOURCE = String.raw`[\t\x20-\x7e\x80-\xff]*`
/** The status line and complete field lines, then a line that may be incomplete. */
const INCOMPLETE = new RegExp(
  String.raw`^HTTP\/1\.1 101(?: [\x20-\x7e]*)?(?:\r\n${TOKEN_SOURCE}:${VALUE_SOURCE})*(?:\r\n[^\r\n]*)?\r?$`,
)
const FIELD = new RegExp(`^(${TOKEN_SOURCE}):(${VALUE_SOURCE})$`)

/**
 * Reads the head of a 101 (RFC 9112 4, 5), given as latin1. Returns `undefined` for a head that is incomplete or in any
 * way unusual. Node's parser reads such a head.
 *
 * @returns the head, and its length in bytes.
 */
export function readSwitch(text: string): { head: ResponseHead; size: number } | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1 || end >= maxHeaderSize - 4) return undefined
  const start = SWITCH.exec(text)
  if (start === null || start[0].length > end + 2) return undefined
  const rawHeaders: string[] = []
  const lines = start[0].length > end ? [] : text.slice(start[0].length, end).split('\r\n')
  if (lines.length > MAX_FIELDS) return undefined
  for (const line of lines) {
    const field = FIELD.exec(line)
    if (field === null || FRAMING.test(field[1] as string)) return undefined
    rawHeaders.push(field[1] as string, trimBlanks(field[2] as string))
  }
  return { head: { httpVersion: '1.1', statusMessage: start[1] ?? '', rawHeaders }, size: end + 4 }
}

/** Whether {@link readSwitch} may read the head once more bytes have arrived. */
export function maySwitch(text: string): boolean {
  return (
    text.length < maxHeaderSize &&
    (text.length < SWITCH_START.length ? SWITCH_START.startsWith(text) : INCOMPLETE.test(text))
  )
}

/** The beginning of an interim response that is not a 101. */
const INTERIM_START = /^HTTP\/1\.[01] 1(?!01)\d\d[ \r]/
const INTERIM = /^HTTP\/1\.[01] (1\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n/

/** Whether latin1 text begins with an interim response, or with a part of it: `HTTP/1.1 1` and two digits. */
export function maybeInterim(text: string): boolean {
  if (text.length > INTERIM_LENGTH) return INTERIM_START.test(text)
  return INTERIM_START.test(text + 'HTTP/1.1 100 '.slice(text.length))
}

const INTERIM_LENGTH = 'HTTP/1.1 100 '.length

/**
 * Reads the head of an interim response, given as latin1, which may be followed by other bytes.
 *
 * @returns the head and its length in bytes; `undefined` for a head that is incomplete, or that Node's parser would read
 *   in another way.
 */
export function readInterim(text: string): { head: InterimResponse; size: number } | undefined {
  const end = text.indexOf('\r\n\r\n')
  const start = INTERIM.exec(text)
  if (end === -1 || start === null || start[0].length > end + 2) return undefined
  const rawHeaders: string[] = []
  const lines = start[0].length > end ? [] : text.slice(start[0].length, end).split('\r\n')
  for (const line of lines) {
    const field = FIELD.exec(line)
    if (field === null) return undefined
    rawHeaders.push(field[1] as string, trimBlanks(field[2] as string))
  }
  return { head: { statusCode: Number(start[1]), statusMessage: start[2] ?? '', rawHeaders }, size: end + 4 }
}

const STATUS_LINE = /^HTTP\/\d\.\d \d{3}(?: [\t\x20-\x7e\x80-\xff]*)?$/

/** Version and reason phrase of a status line, given as latin1 without its line end; `undefined` if it is malformed. */
export function readStatusLine(line: string): { httpVersion: string; statusMessage: string } | undefined {
  // A match with groups would be an array for each response.
  if (!STATUS_LINE.test(line)) return undefined
  return {
    httpVersion: line.slice('HTTP/'.length, 'HTTP/1.1'.length),
    statusMessage: line.slice('HTTP/1.1 200 '.length),
  }
}
