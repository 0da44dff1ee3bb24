/** Text as bytes, one character per byte. A lone surrogate U+DC80-U+DCFF stands for a byte that is not UTF-8. */
export const bytesOf = (text: string): string =>
  text.replace(/[^\0-\x7f]/gu, char => {
    const code = char.codePointAt(0) as number
    return code >= 0xdc80 && code <= 0xdcff ? String.fromCharCode(code - 0xdc00) : Buffer.from(char).toString('latin1')
  })

/**
 * Bytes as text, for a header field or a query. Bytes that are not UTF-8 become lone surrogates, so that none is lost.
 */
export const textOf = (bytes: string): string => {
  if (!/[\x80-\xff]/.test(bytes)) return bytes
  const text = Buffer.from(bytes, 'latin1').toString('utf8')
  if (!text.includes('\ufffd')) return text
  return bytes.replace(/[\x80-\xff]/g, byte => String.fromCharCode(0xdc00 + byte.charCodeAt(0)))
}

const percent = (bytes: string, upper: boolean): string =>
  Array.from(bytes, byte => {
    const hex = byte.charCodeAt(0).toString(16).padStart(2, '0')
    return `%${upper ? hex.toUpperCase() : hex}`
  }).join('')

/** Escapes the path of a URL that a client gets, with lower-case digits. httpd: ap_os_escape_path. */
export const escapePath = (text: string): string =>
  bytesOf(text).replace(/[^\w$\-.+!*'(),:;@&=/~]/g, byte => percent(byte, false))

/**
 * Escapes the path of a URL that a backend gets, with upper-case digits. httpd: ap_proxy_canonenc_ex.
 *
 * @param keepsSlashes whether the text may contain the escapes `%2F` and `%25`, which AllowEncodedSlashes NoDecode
 * leaves.
 */
export const canonicalPath = (text: string, keepsSlashes: boolean): string =>
  bytesOf(text).replace(keepsSlashes ? /%(?:2[fF]|25)|[^\w~$\-.+!*'(),;:@&=/]/g : /[^\w~$\-.+!*'(),;:@&=/]/g, unit =>
    unit.length === 3 ? unit : percent(unit, true),
  )

/** The flags of a rule that escape back references: `[B]`, `[BNE]`, `[BNP]`, `[BCTLS]`. */
export interface BackrefEscaping {
  /** The value of `[B]`: the characters to escape. @default all but letters, digits and `_` */
  readonly only: string | undefined
  /** The value of `[BNE]`: the characters not to escape. */
  readonly except: string
  /** `[BNP]`: a space becomes `%20` instead of `+`. */
  readonly noPlus: boolean
  /** `[BCTLS]`: control characters and spaces are escaped, and no others. */
  readonly controls: boolean
}

/** Escapes a back reference. httpd: escape_backref. */
export function escapeBackref(text: string, { only, except, noPlus, controls }: BackrefEscaping): string {
  return textOf(
    bytesOf(text).replace(/./gs, byte => {
      const chosen = (controls ? /[\0-\x20\x7f]/.test(byte) : only === undefined) || only?.includes(byte) === true
      if (!chosen || except.includes(byte) || /\w/.test(byte)) return byte
      return byte === ' ' && !noPlus ? '+' : percent(byte, false)
    }),
  )
}
