import { isIP } from 'node:net'
import { readUpgrade, type UpgradeSetting } from '../http/upgrade.ts'
import { boolean, type Check, checked, count, duration, isRecord, text, upgrade, wrong } from './checks.ts'
import { DEFAULTS } from './defaults.ts'

/** Options that both a route and a worker may set. The worker's value overrides the route's. */
export interface SharedOptions {
  /**
   * Upgrade tokens that may switch protocols, compared without regard to case. `'ANY'` allows every token except those that hand over the
   * whole connection (`h2c`, `h2`, `TLS/`, `HTTP/`), `'NONE'` makes every request an upgrade, `false` allows no token (`upgrade=`).
   * @default 'websocket'
   */
  upgrade?: string | readonly string[] | false
  /** Time limit for the TCP and TLS connect to the backend, ms; 0 is no limit (connectiontimeout=). Past it: 504. @default 5000 */
  connectTimeout?: number
  /** Time limit from the request to the 101 or another response head, ms; 0 is no limit (ProxyTimeout). Past it: 504. @default 60000 */
  handshakeTimeout?: number
  /**
   * A tunnel ends after this time without a byte in either direction, ms; 0 is never (ProxyWebsocketIdleTimeout). A receiver that stops
   * reading counts as idle. @default 0
   */
  idleTimeout?: number
  /** A tunnel ends after this time without a byte once one side has sent its FIN, ms; 0 is never. @default 30000 */
  halfOpenTimeout?: number
  /** Idle time before TCP keep-alive probes start on both connections, ms; 0 sends none (keepalive=). @default 30000 */
  keepAlive?: number
  /**
   * The IP address of this machine from which connections to the backend are made (ProxySourceAddress). They are made by Node then, not by a
   * thread of the native addon. @default '': the system selects one
   */
  localAddress?: string
  /**
   * Offers HTTP/2 to a backend with TLS by ALPN; the backend chooses. Plain requests then share a connection, and upgrades are extended
   * CONNECTs (RFC 8441) if the backend's SETTINGS allow them. The targets `h2:` (TLS) and `h2c:` (cleartext) always speak HTTP/2, and a
   * cleartext target without that scheme never does (ProxyPass h2://, h2c://). @default false
   */
  http2?: boolean
}

/**
 * A backend's own settings, whichever route leads to it: worker parameters of ProxyPass and BalancerMember, and `<Proxy url>` with
 * ProxySet. An absent option keeps the route's value.
 */
export interface WorkerOptions extends SharedOptions {
  /** `scheme://host[:port][/path]`. In `workers`, `$0`-`$9` stand for any text. */
  url: string
  /** Maximum of open tunnels to the backend, those in their handshake included; 0 is no limit (max=). @default 0 */
  maxTunnels?: number
  /**
   * How long an upgrade waits for a free slot once `maxTunnels` is reached, ms, first come, first served (acquire=). Past it: 503, or the
   * next member of the balancer. @default 0
   */
  acquireTimeout?: number
}

/** The shared options, each with a value. */
export interface SharedSettings extends Readonly<Required<Omit<SharedOptions, 'upgrade'>>> {
  readonly upgrade: UpgradeSetting
}

/** A worker's options, each with a value. */
export interface WorkerSettings {
  readonly url: string
  /** What the worker sets itself; it overrides the settings of a route. */
  readonly overrides: Partial<SharedSettings>
  readonly maxTunnels: number
  readonly acquireTimeout: number
}

const ipAddress: Check = (where, value) => {
  if (typeof value !== 'string' || (value !== '' && isIP(value) === 0)) throw wrong(where, 'an IP address', value)
}

export const SHARED_CHECKS: Record<keyof SharedOptions, Check> = {
  upgrade,
  connectTimeout: duration,
  handshakeTimeout: duration,
  idleTimeout: duration,
  halfOpenTimeout: duration,
  keepAlive: duration,
  localAddress: ipAddress,
  http2: boolean,
}

export const WORKER_CHECKS: Record<keyof WorkerOptions, Check> = {
  url: text,
  ...SHARED_CHECKS,
  maxTunnels: count,
  acquireTimeout: duration,
}

/**
 * Reads the options of one worker, or of a kind of worker that has further options.
 *
 * @throws {WsTunnelError} `WST_ERR_OPTION`
 */
export function readWorker(
  where: string,
  options: unknown,
  checks: Record<string, Check> = WORKER_CHECKS,
): WorkerSettings {
  if (!isRecord(options)) throw wrong(where, 'an object with a url', options)
  const present = checked(where, options, checks)
  if (present['url'] === undefined) throw wrong(`${where}.url`, 'given', undefined)
  const { url, maxTunnels, acquireTimeout } = { ...DEFAULTS.worker, ...(present as unknown as WorkerOptions) }
  const shared = Object.fromEntries(Object.entries(present).filter(([key]) => Object.hasOwn(SHARED_CHECKS, key)))
  const { upgrade, ...overrides } = shared as SharedOptions
  return {
    url,
    maxTunnels,
    acquireTimeout,
    overrides: { ...overrides, ...(upgrade !== undefined && { upgrade: readUpgrade(upgrade) }) },
  }
}
