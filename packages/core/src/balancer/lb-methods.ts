import type { Member } from './balancer-member.ts'

/** Whether a member is better than the best so far; asked once for each that comes into question, in order. */
export interface Comparison {
  isBetter(member: Member, best: Member | undefined): boolean
  /** The one that was chosen. */
  chosen(member: Member): void
}

/** httpd's factors are whole hundredths; that of a member that has just come back grows to the whole. */
const factor = ({ loadFactor, warmth }: Member): number => Math.max(1, Math.round(loadFactor * warmth * 100))

/** Everybody's account grows by its factor, that of the chosen one falls by all of them together. */
function accounting(better: (member: Member, best: Member) => boolean): Comparison {
  let total = 0
  return {
    isBetter: (member, best) => {
      member.lbStatus += factor(member)
      total += factor(member)
      return best === undefined || better(member, best)
    },
    chosen: member => {
      member.lbStatus -= total
    },
  }
}

/** httpd: mod_lbmethod_byrequests. */
const byrequests = (): Comparison => accounting((member, best) => member.lbStatus > best.lbStatus)

/** httpd: mod_lbmethod_bybusyness. */
const bybusyness = (): Comparison =>
  accounting(
    (member, best) => member.busy < best.busy || (member.busy === best.busy && member.lbStatus > best.lbStatus),
  )

/** The fewest open tunnels for its factor; by requests among equals, as short requests leave no trace. */
const leasttunnels = (): Comparison => {
  const load = (member: Member): number => (member.places.taken + 1) / factor(member)
  return accounting(
    (member, best) => load(member) < load(best) || (load(member) === load(best) && member.lbStatus > best.lbStatus),
  )
}

/** httpd: mod_lbmethod_bytraffic, in whole numbers. */
const bytraffic = (): Comparison => {
  const traffic = (member: Member): number =>
    Math.floor(member.bytesSent / factor(member)) + Math.floor(member.bytesReceived / factor(member))
  return {
    isBetter: (member, best) => best === undefined || traffic(member) < traffic(best),
    chosen: () => {},
  }
}

/** The methods of mod_proxy_balancer by their names, and one of ours; each call is one election. */
export const LB_METHODS = { byrequests, bytraffic, bybusyness, leasttunnels } as const

/** A session's member was taken: all others get nearer to their turn. httpd: proxy_balancer_pre_request. */
export function accountForSession(members: readonly Member[], taken: Member): void {
  let total = 0
  for (const member of members) {
    if (!member.usable) continue
    member.lbStatus += factor(member)
    total += factor(member)
  }
  taken.lbStatus -= total
}
