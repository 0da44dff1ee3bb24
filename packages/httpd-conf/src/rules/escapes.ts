/** One character per byte; a lone surrogate is a byte that was no UTF-8. */
export const bytesOf = (text: string): string =>
  text.replace(/[^\0-\x7f]/gu, char => {
    const code = char.codePointAt(0) as number
    return code >= 0xdc80 && code <= 0xdcff ? String.fromCharCode(code - 0xdc00) : Buffer.from(char).toString('latin1')
  })

/** The other way round, for text that came as bytes: a header field, a query. */
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

/** httpd: ap_os_escape_path, which writes its escapes in lower case. */
export const escapePath = (text: string): string =>
  bytesOf(text).replace(/[^\w$\-.+!*'(),:;@&=/~]/g, byte => percent(byte, false))

/** httpd: ap_proxy_canonenc_ex; escapes that AllowEncodedSlashes NoDecode left are passed on. */
export const canonicalPath = (text: string, keepsSlashes: boolean): string =>
  bytesOf(text).replace(keepsSlashes ? /%(?:2[fF]|25)|[^\w~$\-.+!*'(),;:@&=/]/g : /[^\w~$\-.+!*'(),;:@&=/]/g, unit =>
    unit.length === 3 ? unit : percent(unit, true),
  )

/** What `[B]` and its kin say of back references. */
export interface BackrefEscaping {
  /** Characters that are escaped; all but letters, digits and `_` where nothing is said. */
  readonly only: string | undefined
  readonly except: string
  /** `[BNP]`: a space is `%20` and not `+`. */
  readonly noPlus: boolean
  /** `[BCTLS]`: control characters and spaces alone. */
  readonly controls: boolean
}

/** httpd: escape_backref. */
export function escapeBackref(text: string, { only, except, noPlus, controls }: BackrefEscaping): string {
  return textOf(
    bytesOf(text).replace(/./gs, byte => {
      const chosen = (controls ? /[\0-\x20\x7f]/.test(byte) : only === undefined) || only?.includes(byte) === true
      if (!chosen || except.includes(byte) || /\w/.test(byte)) return byte
      return byte === ' ' && !noPlus ? '+' : percent(byte, false)
    }),
  )
}
