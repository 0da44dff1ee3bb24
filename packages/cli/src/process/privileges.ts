import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { ServerSettings } from '@ws-tunnel/httpd-conf'
import { FileError } from '../errors.ts'

/** The user and the group that the process changes to. */
export interface Identity {
  readonly user: string
  readonly uid: number
  readonly gid: number
  /** Whether the user has an entry, and so may have further groups. */
  readonly isNamed: boolean
}

/** The line in the error log of a process that stays root. */
export const ROOT_NOTICE =
  'run serves as root, because there is no User line: with "User www-data" it gives up the rights of root after it listens'

/** Whether the process is root and stays root. httpd refuses to serve so. */
export const staysRoot = ({ user, group }: ServerSettings): boolean =>
  isRoot() && user === undefined && group === undefined

const isRoot = (): boolean => process.geteuid?.() === 0

/** An entry of a database such as `passwd`. `getent` also reads LDAP and others; a container may not have it. */
function entry(database: 'passwd' | 'group', key: string): string[] | undefined {
  try {
    return execFileSync('getent', [database, key], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .split(':')
  } catch {
    const lines = readFileSync(`/etc/${database}`, 'utf8').split('\n')
    return lines.map(line => line.split(':')).find(([name, , id]) => name === key || id === key)
  }
}

const number = (text: string): number | undefined => (/^#\d+$/.test(text) ? Number(text.slice(1)) : undefined)

/**
 * The identity of User and Group. Returns `undefined` if the process stays what it is: it is not root, or there is no
 * User line.
 *
 * @throws {FileError} for a user or a group that does not exist, and for root.
 */
export function identityOf({ user, group }: ServerSettings): Identity | undefined {
  if (!isRoot() || (user === undefined && group === undefined)) return undefined
  if (user === undefined) throw new FileError('Group needs a User line, because the process would stay root')
  const uidWritten = number(user)
  const passwd = entry('passwd', uidWritten === undefined ? user : String(uidWritten))
  const uid = uidWritten ?? Number(passwd?.[2] ?? Number.NaN)
  if (Number.isNaN(uid)) throw new FileError(`User: bad user name ${user}`)
  const gidWritten = group === undefined ? undefined : number(group)
  const gid =
    group === undefined
      ? Number(passwd?.[3] ?? Number.NaN)
      : (gidWritten ?? Number(entry('group', group)?.[2] ?? Number.NaN))
  if (Number.isNaN(gid))
    throw new FileError(group === undefined ? `User ${user} has no group` : `Group: bad group name ${group}`)
  if (uid === 0)
    throw new FileError('User must not be root: its purpose is that the process serves without the rights of root')
  return { user: passwd?.[0] ?? user, uid, gid, isNamed: passwd !== undefined }
}

/** Changes to the identity for good. httpd: ap_unixd_setup_child. */
export function become({ user, uid, gid, isNamed }: Identity): void {
  process.setgid?.(gid)
  // Node's types do not have the function.
  if (isNamed) (process as NodeJS.Process & { initgroups(user: string, gid: number): void }).initgroups(user, gid)
  else process.setgroups?.([gid])
  process.setuid?.(uid)
}
