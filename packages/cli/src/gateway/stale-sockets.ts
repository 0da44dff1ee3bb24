import { lstatSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Listen } from '../configuration/virtual-hosts.ts'

/**
 * Removes the unix sockets that a program left behind. A socket where a program listens stays, and so does a file of another kind:
 * `listen` then fails. Of several workers none may call it, because each could remove the socket that another has just made.
 */
export async function removeStaleSockets(listens: readonly Listen[]): Promise<void> {
  for (const { path } of listens) if (path !== undefined && (await isStale(path))) await unlink(path)
}

/** A connection to a file that is no socket is refused, too. */
async function isStale(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false
  return new Promise(resolve => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}
