/** AllowEncodedSlashes: whether an encoded slash (`%2F`) is refused, decoded, or kept as it is. */
export type EncodedSlashes = 'reject' | 'decode' | 'keep'

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

/** Decodes the escapes of unreserved characters, which change nothing (RFC 3986 6.2.2.2). */
export function decodeUnreserved(text: string): string {
  return text.replace(/%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi, (_, hex: string) => byteOf(hex))
}

const byteOf = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16))

/**
 * httpd's canonical form of a path (ap_proxy_canonenc_ex): alphanumerics and `~$-_.+!*'(),;:@&=/` stay as they are, and
 * every other byte becomes an escape in upper case. With `keep`, the escapes that decoding has kept are not encoded again.
 */
export function encodePath(text: string, encodedSlashes: EncodedSlashes): string {
  if (/^[\w~$\-.+!*'(),;:@&=/]*$/.test(text)) return text
  const escapes = encodedSlashes === 'keep' ? /%(?:2[fF]|25)|[^\w~$\-.+!*'(),;:@&=/]/gu : /[^\w~$\-.+!*'(),;:@&=/]/gu
  return text.replace(escapes, encodeUnlessEscape)
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
