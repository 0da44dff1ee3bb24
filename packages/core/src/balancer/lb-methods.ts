import type { BalancerMember } from './balancer-member.ts'

/** Compares the candidates of one selection. */
export interface Comparison {
  /** Whether a candidate is better than the best one so far. Called once for each candidate, in order. */
  isBetter(member: BalancerMember, best: BalancerMember | undefined): boolean
  /** Called with the selected member. */
  onSelect(member: BalancerMember): void
}

/** The load factor in hundredths, as httpd counts; during a slow start only a part of it applies. */
const factor = ({ loadFactor, warmth }: BalancerMember): number => Math.max(1, Math.round(loadFactor * warmth * 100))

/** The `lbStatus` of each candidate grows by its factor; that of the selected one falls by the sum of all factors. */
function accounting(better: (member: BalancerMember, best: BalancerMember) => boolean): Comparison {
  let total = 0
  return {
    isBetter: (member, best) => {
      member.lbStatus += factor(member)
      total += factor(member)
      return best === undefined || better(member, best)
    },
    onSelect: member => {
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

/** The fewest open tunnels relative to the factor. Equal members are compared by requests, because short requests leave no open tunnel. */
const leasttunnels = (): Comparison => {
  const load = (member: BalancerMember): number => (member.slots.inUse + 1) / factor(member)
  return accounting(
    (member, best) => load(member) < load(best) || (load(member) === load(best) && member.lbStatus > best.lbStatus),
  )
}

/** httpd: mod_lbmethod_bytraffic, in integer arithmetic. */
const bytraffic = (): Comparison => {
  const traffic = (member: BalancerMember): number =>
    Math.floor(member.bytesSent / factor(member)) + Math.floor(member.bytesReceived / factor(member))
  return {
    isBetter: (member, best) => best === undefined || traffic(member) < traffic(best),
    onSelect: () => {},
  }
}

/** A candidate at random, as often as its factor says: each one replaces the best so far with its share of the factors up to it. */
const random = (): Comparison => {
  let total = 0
  return {
    isBetter: member => {
      total += factor(member)
      return Math.random() * total < factor(member)
    },
    onSelect: () => {},
  }
}

/** The methods of mod_proxy_balancer, `leasttunnels` and `random`. Each call makes the comparison of one selection. */
export const LB_METHODS = { byrequests, bytraffic, bybusyness, leasttunnels, random } as const

/** Accounts for a member that its session selected: the other members become due sooner. httpd: proxy_balancer_pre_request. */
export function accountForSession(members: readonly BalancerMember[], selected: BalancerMember): void {
  let total = 0
  for (const member of members) {
    if (!member.usable) continue
    member.lbStatus += factor(member)
    total += factor(member)
  }
  selected.lbStatus -= total
}
