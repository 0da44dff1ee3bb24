import { type HeaderList, headerLines, type MessageHead } from '../http/header-list.ts'

/** Schemes that authenticate a connection, not a request: each later request on it counts as the same user's. */
const SCHEME = /^[ \t]*(?:NTLM|Negotiate)(?:[ \t]|$)/i

/** The same in a list of challenges. */
const CHALLENGE = /(?:^|,)[ \t]*(?:NTLM|Negotiate)(?:[ \t,]|$)/i

/** Whether a request has credentials that the backend may apply to the connection. */
export function authenticatesConnection(headers: HeaderList): boolean {
  const credentials = headers.get('authorization')
  return credentials !== undefined && SCHEME.test(credentials)
}

/** Whether a 401 begins to authenticate the connection. */
export function challengesConnection(response: MessageHead): boolean {
  return headerLines(response, 'www-authenticate').some(line => CHALLENGE.test(line))
}
