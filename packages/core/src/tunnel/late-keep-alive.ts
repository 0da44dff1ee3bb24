import { type Link, LinkedSet } from '../util/linked-set.ts'

/** ms. Keep-alive is set when a tunnel is one to two of these old. A tunnel that ends earlier saves the system calls. */
const INTERVAL = 1000

/** The property of a tunnel that waits for its keep-alive. */
export const YOUNG: unique symbol = Symbol('ws-tunnel.young')

/** A tunnel whose keep-alive is not set yet. */
export interface Young {
  [YOUNG]: Link<Young> | undefined
  setKeepAlive(): void
}

/** The tunnels that were opened since the last look, and those that had one look. */
let younger = new LinkedSet<Young>(YOUNG)
let older = new LinkedSet<Young>(YOUNG)
let timer: NodeJS.Timeout | undefined

/** Calls `setKeepAlive` when the tunnel is old enough. */
export function keepAliveLater(tunnel: Young): void {
  younger.add(tunnel)
  if (timer === undefined) timer = setTimeout(look, INTERVAL).unref()
}

/** To be called when a tunnel ends. */
export function keepAliveNever(tunnel: Young): void {
  tunnel[YOUNG]?.set.delete(tunnel)
}

function look(): void {
  for (const tunnel of older) {
    older.delete(tunnel)
    tunnel.setKeepAlive()
  }
  const empty = older
  older = younger
  younger = empty
  timer = older.size > 0 ? setTimeout(look, INTERVAL).unref() : undefined
}
