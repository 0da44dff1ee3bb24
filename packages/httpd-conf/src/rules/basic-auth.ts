import type { IncomingMessage } from 'node:http'
import { WsTunnelError } from '@ws-tunnel/core'
import type { WatchedFile } from '../syntax/watched-file.ts'
import { fitsHash } from './passwords.ts'
import { fieldOf } from './request.ts'

/** AuthName and AuthUserFile. */
export interface BasicAuth {
  readonly realm: string
  /** Hashes by user. */
  readonly users: WatchedFile<ReadonlyMap<string, string>>
}

/** The users of a file of htpasswd, with their hashes. Of several lines of one user, the first counts. */
export function readUsers(text: string): Map<string, string> {
  const users = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, user, hash] = /^([^#:\s][^:]*):([^:\r]*)/.exec(line.trimStart()) ?? []
    if (user !== undefined && hash !== undefined && !users.has(user)) users.set(user, hash)
  }
  return users
}

/** The groups of each user, from a file of AuthGroupFile. */
export function readGroups(text: string): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>()
  for (const line of text.split('\n')) {
    const [, group, members] = /^\s*([^#:\s][^:]*):(.*)$/.exec(line) ?? []
    if (group === undefined || members === undefined) continue
    for (const user of members.split(/\s+/)) groups.set(user, (groups.get(user) ?? new Set()).add(group))
  }
  return groups
}

export const unauthorized = ({ realm }: BasicAuth): WsTunnelError =>
  new WsTunnelError('WST_ERR_ACCESS', {
    statusCode: 401,
    detail: 'the user is not authenticated',
    headers: { 'WWW-Authenticate': `Basic realm="${realm.replace(/["\\]/g, '\\$&')}"` },
  })

/**
 * The user of a request, whose password fits. httpd: authenticate_basic_user.
 *
 * @throws {WsTunnelError} 401, or 500 if the file of users cannot be read.
 */
export async function authenticate(auth: BasicAuth, req: IncomingMessage): Promise<string> {
  const [, encoded = ''] = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(fieldOf(req, 'authorization') ?? '') ?? []
  const [, user, password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? []
  if (user === undefined) throw unauthorized(auth)
  const users = auth.users.read()
  if (users === undefined) throw new WsTunnelError('WST_ERR_CALLBACK', { detail: 'AuthUserFile cannot be read' })
  const hash = users.get(user)
  if (hash === undefined || !(await fitsHash(password, hash))) throw unauthorized(auth)
  return user
}
