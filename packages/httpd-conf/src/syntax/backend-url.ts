/** Scheme of a backend URL, lower-case, after an optional `unix:/path|`; `''` for a text without one. */
export const schemeOf = (url: string): string =>
  /^(?:unix:[^|]+\|)?([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? ''

/** Whether the scheme is `ws:` or `wss:`. */
export const isWebsocket = (url: string): boolean => /^wss?$/.test(schemeOf(url))

/** Whether the backend is reached over TLS: `wss:`, `https:` or `h2:`. */
export const isSecure = (url: string): boolean => /^(?:wss|https|h2)$/.test(schemeOf(url))

/** The name in `balancer://name/path`, lower-case because httpd compares it without regard to case. */
export const balancerName = (url: string): string | undefined => /^balancer:\/\/([^/]+)/i.exec(url)?.[1]?.toLowerCase()
