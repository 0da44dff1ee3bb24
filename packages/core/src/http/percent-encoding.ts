/** AllowEncodedSlashes: whether an encoded slash (`%2F`) is refused, decoded, or kept as it is. */
export type EncodedSlashes = 'reject' | 'decode' | 'keep'

/**
 * How a path may be spelled. `'exact'`: in its normal form only, and the backend gets it as the client spelled it.
 * `'normalise'`: in any form, and the backend gets httpd's canonical form.
 */
export type PathSpelling = 'exact' | 'normalise'

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes UTF-8, given as one character per byte. A byte that belongs to no UTF-8 sequence becomes a lone surrogate
 * (U+DC80-U+DCFF), so that no byte is lost.
 */
export function bytesToText(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes
  const buffer = Buffer.from(bytes, 'latin1')
  try {
    return strictUtf8.decode(buffer)
  } catch {
    return bytes.replace(
      /([\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})|[\x80-\xff]/g,
      (sequence, whole: string | undefined) => {
        try {
          if (whole !== undefined) return strictUtf8.decode(Buffer.from(whole, 'latin1'))
        } catch {}
        return sequence.replace(/./gs, byte => String.fromCharCode(0xdc00 + byte.charCodeAt(0)))
      },
    )
  }
}

/** Decodes the escapes whose hexadecimal digits do not match `kept`, to one character per byte. */
export function decodeEscapes(text: string, kept: RegExp): string {
  return text.replace(/%([0-9a-f]{2})/gi, (sequence, hex: string) => (kept.test(hex) ? sequence : byteOf(hex)))
}

/**
 * Escapes of printable characters that a path may also have as they are, and of `%`. The two spellings are two paths
 * (RFC 3986 2.2), and an app that does not decode sees two.
 */
const RESERVED = '2[124-9a-cA-C]|3[a-eA-E]|40|5[bdeBDE]|60|7[b-dB-D]'

/** The hexadecimal digits of the escapes that stay in a decoded path. */
const KEPT = {
  // A kept slash stays an escape, so `%25` must stay one too: otherwise `%252F` would become `%2F`.
  normalise: { reject: /^2f$/i, decode: /^$/, keep: /^(?:2f|25)$/i },
  exact: {
    reject: new RegExp(`^(?:${RESERVED}|2[fF])$`),
    decode: new RegExp(`^(?:${RESERVED})$`),
    keep: new RegExp(`^(?:${RESERVED}|2[fF])$`),
  },
}

/** Whether decoding keeps the escape with these hexadecimal digits. */
export const keptEscapes = (encodedSlashes: EncodedSlashes, spelling: PathSpelling): RegExp =>
  KEPT[spelling][encodedSlashes]

const RESERVED_ESCAPE = new RegExp(`%(${RESERVED})`, 'g')

/** Decodes what is left of the escapes of printable characters, for a function that gets parts of a decoded path. */
export function decodeReserved(text: string, encodedSlashes: EncodedSlashes): string {
  if (!text.includes('%')) return text
  return text.replace(RESERVED_ESCAPE, (sequence, hex: string) =>
    hex === '25' && encodedSlashes === 'keep' ? sequence : byteOf(hex),
  )
}

/** Decodes the escapes of unreserved characters, which change nothing (RFC 3986 6.2.2.2). */
export function decodeUnreserved(text: string): string {
  return text.replace(/%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi, (_, hex: string) => byteOf(hex))
}

const byteOf = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16))

/**
 * httpd's canonical form of a path (ap_proxy_canonenc_ex): alphanumerics and `~$-_.+!*'(),;:@&=/` stay as they are, and
 * every other byte becomes an escape in upper case. The escapes that decoding has kept are not encoded again. With
 * `'exact'`, all printable characters but `#`, `?` and `\` stay as they are.
 */
export function encodePath(text: string, encodedSlashes: EncodedSlashes, spelling: PathSpelling = 'normalise'): string {
  if (/^[\w~$\-.+!*'(),;:@&=/]*$/.test(text)) return text
  if (spelling === 'exact') return text.replace(EXACT_ESCAPES[encodedSlashes], encodeUnlessEscape)
  const escapes = encodedSlashes === 'keep' ? /%(?:2[fF]|25)|[^\w~$\-.+!*'(),;:@&=/]/gu : /[^\w~$\-.+!*'(),;:@&=/]/gu
  return text.replace(escapes, encodeUnlessEscape)
}

const exactEscapes = (kept: string): RegExp => new RegExp(`%(?:${kept})|[^\\x21-\\x7e]|[#%?\\\\]`, 'gu')

const EXACT_ESCAPES = {
  reject: exactEscapes(RESERVED),
  decode: exactEscapes(RESERVED),
  keep: exactEscapes(`${RESERVED}|2[fF]`),
}

/** Encodes a capture that becomes part of a query, so that it cannot end a name or a value. */
export function encodeQueryPart(text: string): string {
  return text.replace(/[^\w~\-.!*'()]/gu, encodeCharacter)
}

/** Encodes text of a configured URL: its escapes stay, and characters that a URL cannot hold become escapes. */
export function encodeUrlText(text: string): string {
  return text.replace(/%[0-9a-fA-F]{2}|[^\w~$\-.+!*'(),;:@&=/?[\]]/gu, encodeUnlessEscape)
}

const encodeUnlessEscape = (match: string): string =>
  match.length === 3 && match.startsWith('%') ? match : encodeCharacter(match)

/** The bytes of one character as escapes. A lone surrogate is the byte that {@link bytesToText} made it from. */
function encodeCharacter(character: string): string {
  const code = character.codePointAt(0) as number
  if (code >= 0xdc80 && code <= 0xdcff) return escapeOf(code - 0xdc00)
  return Array.from(Buffer.from(character), escapeOf).join('')
}

const escapeOf = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
