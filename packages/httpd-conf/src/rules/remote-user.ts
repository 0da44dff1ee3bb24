import type { IncomingMessage } from 'node:http'

const users = new WeakMap<IncomingMessage, string>()

/** Keeps the name of the user that a request was authenticated for. */
export function keepUser(req: IncomingMessage, user: string): void {
  users.set(req, user)
}

/** The user that a request was authenticated for; `undefined` if it was not authenticated. httpd: `r->user`. */
export const userOf = (req: IncomingMessage): string | undefined => users.get(req)

const waiting = new WeakMap<IncomingMessage, (() => void)[]>()

/** Calls a function when the access control of a request is over. */
export function afterAuthentication(req: IncomingMessage, run: () => void): void {
  const list = waiting.get(req) ?? []
  waiting.set(req, list)
  list.push(run)
}

/** The access control of a request is over: its user is known, or it needs none. */
export function endAuthentication(req: IncomingMessage): void {
  for (const run of waiting.get(req) ?? []) run()
  waiting.delete(req)
}
