import type { IncomingMessage } from 'node:http'

const users = new WeakMap<IncomingMessage, string>()

/** Keeps the name of the user that a request was authenticated for. */
export function keepUser(req: IncomingMessage, user: string): void {
  users.set(req, user)
}

/** The user that a request was authenticated for; `undefined` if it was not authenticated. httpd: `r->user`. */
export const userOf = (req: IncomingMessage): string | undefined => users.get(req)
