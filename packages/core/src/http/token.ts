/** One or more characters of a token, as the source of a RegExp (RFC 9110 5.6.2). */
export const TOKEN_SOURCE: string = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"

/** A token, such as a method or the name of a header field (RFC 9110 5.6.2). */
export const TOKEN: RegExp = new RegExp(`^${TOKEN_SOURCE}$`)

/** A protocol in an `Upgrade` field: a name, or a name and a version (RFC 9110 7.8). */
export const UPGRADE_TOKEN: RegExp = new RegExp(`^${TOKEN_SOURCE}(?:/${TOKEN_SOURCE})?$`)
