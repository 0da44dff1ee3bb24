import { createHash } from 'node:crypto'
import { bytesOf, escapePath, textOf } from './escapes.ts'

const hex =
  (algorithm: string) =>
  (text: string): string =>
    createHash(algorithm).update(bytesOf(text), 'latin1').digest('hex')

/** An encoded slash stays as it is. A malformed escape, and one of the byte 0, make the text empty. httpd: unescape_func. */
function unescapeText(text: string): string {
  if (/%(?![0-9a-f]{2})|%00/i.test(text)) return ''
  const bytes = bytesOf(text).replace(/%(?!2f)(..)/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
  return textOf(bytes)
}

/** The functions of texts that every expression has, by name in lower case. httpd: string_func_providers. */
export const TEXT_FUNCTIONS: Readonly<Record<string, (text: string) => string>> = {
  tolower: text => text.replace(/[A-Z]+/g, letters => letters.toLowerCase()),
  toupper: text => text.replace(/[a-z]+/g, letters => letters.toUpperCase()),
  escape: escapePath,
  unescape: unescapeText,
  base64: text => Buffer.from(bytesOf(text), 'latin1').toString('base64'),
  // httpd decodes up to the first character that does not belong there.
  unbase64: text => textOf(Buffer.from(text.replace(/[^\w+/-].*$/s, ''), 'base64').toString('latin1')),
  md5: hex('md5'),
  sha1: hex('sha1'),
}

/** Functions of httpd that read files or ask other systems, with the reason why they are refused. */
const REFUSED: Readonly<Record<string, string>> = {
  file: 'it reads a file for each request',
  filesize: 'it looks at a file for each request',
  filemod: 'it looks at a file for each request',
  osenv:
    'it shows the environment of the process; write a variable in braces after a dollar sign, which is read at the start',
  note: 'notes belong to modules of httpd',
  ldap: 'it belongs to a module that is not supported',
}

/** Why an expression cannot use a function. */
export function refusalOf(name: string): string {
  const lower = name.toLowerCase()
  return Object.hasOwn(REFUSED, lower)
    ? `the function ${name} is not supported: ${REFUSED[lower]}`
    : `${name}() is not supported`
}
