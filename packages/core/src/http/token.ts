/** The characters of a token (RFC 9110 5.6.2), for a character class of a RegExp. */
export const TCHAR = "!#$%&'*+.^_`|~0-9A-Za-z-"

/** A token: a method, or the name of a header field or cookie (RFC 9110 5.6.2). */
export const TOKEN = new RegExp(`^[${TCHAR}]+$`)
