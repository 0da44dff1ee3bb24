/** Bytes both ways. */
export interface Traffic {
  /** Bytes that clients sent through tunnels. */
  bytesFromClient: number
  /** Bytes that backends sent through tunnels. */
  bytesFromBackend: number
}

/** A route, with the bytes that went through it since the manager was made. */
export interface RouteView extends Traffic {
  /** Its place in the list. */
  index: number
  path: string
  /** `false` hands requests back to the app; left out where a function gives it. */
  target?: string | false | undefined
  /** Requests it took. */
  hits: number
  /** Upgrades under way, and open tunnels. */
  open: number
  /** 0 is no limit. */
  maxTunnels: number
}

/** When a member's state became what it is. */
export interface StatusChange {
  /** ms since the epoch. */
  time: number
  /** Apache's letters. */
  status: string
}

/** What the checks of a member say. Times are ms since the epoch. */
export interface HealthView {
  /** The last one passed. */
  ok: boolean
  /** What it heard, or why it failed. */
  detail: string
  checkedAt: number
  /** Since when all have gone the same way. */
  since: number
  /** ms the last one took. */
  duration: number
}

/** A check of a member that was. */
export interface PastCheck {
  /** ms since the epoch. */
  time: number
  ok: boolean
}

/** A member of a balancer. */
export interface MemberView extends Traffic {
  /** Its number among all members of the manager; the same as long as it is one. */
  id: number
  url: string
  routeId: string
  /** The `routeId` that takes its sessions while it is not usable; empty is none. */
  redirect: string
  /** Apache's letters; none is ready. */
  status: string
  loadFactor: number
  lbSet: number
  /** ms that it stays out after an error. */
  retry: number
  /** How often it was chosen. */
  selected: number
  /** What is due to it by requests, in hundredths of a factor: whoever has most is next. */
  load: number
  /** Requests under way, and open tunnels. */
  busy: number
  /** Open tunnels. */
  open: number
  /** How often it was taken out. */
  failures: number
  /** The last changes of its state, oldest first. */
  changes: StatusChange[]
  /** `null` where nobody checks it, and before the first check. */
  health: HealthView | null
  /** The last checks, oldest first. */
  checks: PastCheck[]
}

/** A balancer with its members in order. */
export interface BalancerView {
  name: string
  lbMethod: string
  /** `COOKIE`, or `COOKIE|parameter`; empty where sessions do not stick. */
  stickySession: string
  /** A session whose member is not usable gets 503. */
  noFailover: boolean
  /** How many members are tried for one request. */
  attempts: number
  /** How long a request waits for a usable member, ms. */
  timeout: number
  members: MemberView[]
}

/** One proxy as a whole. All but `open` counts since the manager was made. */
export interface ProxyView extends Traffic {
  name: string
  open: number
  opened: number
  /** By reason. */
  ended: Record<string, number>
  /** Failures before the 101, by code. */
  errors: Record<string, number>
  routes: RouteView[]
  balancers: BalancerView[]
}

/** An open tunnel. Times are ms since the epoch. */
export interface TunnelView extends Traffic {
  proxy: string
  id: number
  /** Place of the route. */
  route: number
  client: string
  url: string
  /** URL of the balancer's member, or `host:port` or socket path of the backend. */
  member: string
  protocol: string
  openedAt: number
  /** When a byte last moved, to the second. */
  activeAt: number
  /** It ends when it is quiet. */
  draining: boolean
}

/** Open tunnels, the newest first. */
export interface TunnelList {
  /** All that are open. */
  total: number
  /** Those that the search finds. */
  found: number
  /** As many of them as were asked for. */
  list: TunnelView[]
}

/** How it is with the store in which settings are shared. */
export interface FleetView {
  /** `memory` is this process alone. */
  store: string
  connected: boolean
  /** Since when it is so, ms since the epoch. */
  since: number
  /** Why it is away; `''` where it is not, or is yet to answer. */
  reason: string
  /** Settings made here that it has not taken yet. */
  waiting: number
  /** Settings in it that are ignored, because they are wrong. */
  ignored: number
  /** The first of them. */
  ignoredSettings: { key: string; reason: string }[]
}

/** Everything but the past. */
export interface State {
  title: string
  host: string
  pid: number
  fleet: FleetView
  proxies: ProxyView[]
  tunnels: TunnelList
}

/** What happened between two looks, as rates per second. */
export interface Sample {
  /** ms since the epoch. */
  time: number
  /** Tunnels open at that time. */
  open: number
  /** Tunnels opened per second. */
  opened: number
  /** Bytes per second. */
  fromClient: number
  /** Bytes per second. */
  fromBackend: number
  /** Bytes per second both ways, by the number of the member. */
  members: Record<string, number>
}
