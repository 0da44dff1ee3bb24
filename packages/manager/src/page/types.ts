/** Bytes in both directions. */
export interface Traffic {
  /** Bytes that clients sent through tunnels. */
  bytesFromClient: number
  /** Bytes that backends sent through tunnels. */
  bytesFromBackend: number
}

/** A route. Its bytes are counted since the manager was created. */
export interface RouteView extends Traffic {
  /** Its position in the list of routes. */
  index: number
  path: string
  /** `false` if the route hands requests back to the app. Left out if the target is a function. */
  target?: string | false | undefined
  /** Requests that the route took. */
  hits: number
  /** Upgrades in progress, and open tunnels. */
  open: number
  /** 0 means that there is no limit. */
  maxTunnels: number
}

/** A change of a member's state. */
export interface StatusChange {
  /** ms since the epoch. */
  time: number
  /** Apache's letters for the new state. */
  status: string
}

/** The results of the health checks of a member. Times are ms since the epoch. */
export interface HealthView {
  /** Whether the last check passed. */
  ok: boolean
  /** What the last check received, or why it failed. */
  detail: string
  checkedAt: number
  /** Since when all checks have had the same result. */
  since: number
  /** How long the last check took, ms. */
  duration: number
}

/** A past health check. */
export interface PastCheck {
  /** ms since the epoch. */
  time: number
  ok: boolean
}

/** A member of a balancer. */
export interface MemberView extends Traffic {
  /** A number that identifies the member in this manager, as long as the member exists. */
  id: number
  url: string
  routeId: string
  /** The `routeId` of the member that takes its sessions while it is not usable. Empty for none. */
  redirect: string
  /** Apache's letters. Empty for a member that is ready. */
  status: string
  /** Whether it gets new requests. */
  usable: boolean
  loadFactor: number
  lbSet: number
  /** How long the member is not selected after an error, ms. */
  retry: number
  /** How often the member was selected. */
  selected: number
  /**
   * The balance of `byrequests`, in hundredths of a load factor. The member with the highest balance is selected next.
   */
  load: number
  /** Requests in progress, and open tunnels. */
  busy: number
  /** Open tunnels. */
  open: number
  /** How often the member was put in error. */
  failures: number
  /** The last changes of its state, oldest first. */
  changes: StatusChange[]
  /** `null` for a member without health checks, and before its first check. */
  health: HealthView | null
  /** The last checks, oldest first. */
  checks: PastCheck[]
}

/** Which balancer a change is about. */
export interface BalancerKey {
  readonly proxy: string
  readonly balancer: string
}

/** A balancer, with its members in order. */
export interface BalancerView {
  name: string
  lbMethod: string
  /** `COOKIE`, or `COOKIE|parameter`. Empty if sessions are not sticky. */
  stickySession: string
  /** Whether a request of a session gets 503 while the member of the session is not usable. */
  noFailover: boolean
  /** How many members are tried for one request. */
  attempts: number
  /** How long a request waits for a usable member, ms. */
  timeout: number
  members: MemberView[]
}

/** A proxy. Its counts, except `open`, begin at the creation of the manager. */
export interface ProxyView extends Traffic {
  name: string
  open: number
  opened: number
  /** By reason. */
  ended: Record<string, number>
  /** Failures before the 101, by code. */
  errors: Record<string, number>
  /** Requests that failed over from one member to another. */
  failovers: number
  routes: RouteView[]
  balancers: BalancerView[]
}

/** An open tunnel. Times are ms since the epoch. */
export interface TunnelView extends Traffic {
  proxy: string
  id: number
  /** The index of the route. */
  route: number
  client: string
  url: string
  /** The URL of the balancer's member, or the `host:port` or socket path of the backend. */
  member: string
  protocol: string
  openedAt: number
  /** When the last byte passed, to the second. */
  activeAt: number
  /** Whether the tunnel ends when it is quiet. */
  draining: boolean
  /** How often another process has taken it over. */
  handovers: number
}

/** Open tunnels, the newest first. */
export interface TunnelList {
  /** How many tunnels are open. */
  total: number
  /** How many of them the search found. */
  found: number
  /** The newest of those, as many as the limit allows. */
  list: TunnelView[]
}

/** The state of the store in which settings are shared. */
export interface FleetView {
  /** The name of the store. `memory` is this process alone. */
  store: string
  connected: boolean
  /** When the store became connected or away, ms since the epoch. */
  since: number
  /** Why the store is away. Empty for a store that is connected or has not responded yet. */
  reason: string
  /** Settings made here that the store has not saved yet. */
  waiting: number
  /** How many settings in the store are ignored because they are wrong. */
  ignored: number
  /** The first 20 of them. */
  ignoredSettings: { key: string; reason: string }[]
}

/** A request that failed before the 101, or failed over to another member. */
export interface Failure {
  /** Grows with each failure. */
  id: number
  /** ms since the epoch. */
  time: number
  proxy: string
  /** The code of the error. */
  code: string
  /** What happened, for the operator. */
  message: string
  client: string
  url: string
  /** The index of the route; `null` if none had matched. */
  route: number | null
  /** The URL of the member, or where the backend is. Empty if none had been selected. */
  member: string
  /** The URL of the member that the request went to instead. Empty if the request failed. */
  failedOverTo: string
}

/** The present state of everything that the manager shows. */
export interface State {
  title: string
  host: string
  pid: number
  fleet: FleetView
  proxies: ProxyView[]
  tunnels: TunnelList
}

/** The rates since the previous sample. An old sample is the mean of several, and has no rates of members. */
export interface Sample {
  /** ms since the epoch. */
  time: number
  /** Tunnels that are open. */
  open: number
  /** Tunnels opened per second. */
  opened: number
  /** Requests per second that failed before the 101. */
  failed: number
  /** Failovers per second. */
  failovers: number
  /** The median time from the request to the 101, ms. `null` if no tunnel opened. */
  p50: number | null
  /** 99 of 100 handshakes took at most this time, ms. `null` if no tunnel opened. */
  p99: number | null
  /** Bytes per second from clients. */
  fromClient: number
  /** Bytes per second from backends. */
  fromBackend: number
  /** Bytes per second in both directions, by the `id` of the member. */
  members: Record<string, number>
}
