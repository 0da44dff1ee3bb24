import { maxHeaderSize } from 'node:http'
import type { MessageHead } from './header-list.ts'
import { TCHAR } from './token.ts'

/** The head of an answer, by what counts of it. */
export interface AnswerHead extends MessageHead {
  readonly httpVersion: string
  readonly statusMessage?: string | undefined
}

/** An interim response (1xx) of a backend. */
export interface InterimResponse {
  readonly statusCode: number
  readonly statusMessage: string
  readonly rawHeaders: string[]
}

/** Fields of which a switch has none, and others make of them what they like. */
const FRAMING = /^(?:content-length|transfer-encoding)$/i
const MAX_FIELDS = 100

const SWITCH = /^HTTP\/1\.1 101(?: ([\x20-\x7e]*))?\r\n/
const SWITCH_BEGINS = 'HTTP/1.1 101'
/** Lines that are whole so far, and the one that is on its way. */
const BEGINNING = new RegExp(
  `^HTTP/1\\.1 101(?: [\\x20-\\x7e]*)?(?:\\r\\n[${TCHAR}]+:[\\t\\x20-\\x7e\\x80-\\xff]*)*(?:\\r\\n[^\\r\\n]*)?\\r?$`,
)
const FIELD = new RegExp(`^([${TCHAR}]+):([\\t\\x20-\\x7e\\x80-\\xff]*)$`)

/**
 * Reads the head of a 101 (RFC 9112 4, 5), as latin1. What is not wholly there, or in the least out of the ordinary, gives
 * `undefined`: it is for Node's parser to judge.
 *
 * @returns the head, and how many bytes it has.
 */
export function readSwitch(text: string): { head: AnswerHead; size: number } | undefined {
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
    rawHeaders.push(field[1] as string, withoutBlanks(field[2] as string))
  }
  return { head: { httpVersion: '1.1', statusMessage: start[1] ?? '', rawHeaders }, size: end + 4 }
}

/** Whether more bytes could make a head for {@link readSwitch} of it. */
export function maySwitch(text: string): boolean {
  return (
    text.length < maxHeaderSize &&
    (text.length < SWITCH_BEGINS.length ? SWITCH_BEGINS.startsWith(text) : BEGINNING.test(text))
  )
}

/** Without the spaces and tabs around it; `trim` would take obs-text too. */
function withoutBlanks(value: string): string {
  let from = 0
  let to = value.length
  while (from < to && isBlank(value.charCodeAt(from))) from++
  while (from < to && isBlank(value.charCodeAt(to - 1))) to--
  return value.slice(from, to)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
