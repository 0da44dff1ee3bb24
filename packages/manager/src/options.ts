import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Change } from './api/changes.ts'
import { type FleetOptions, warn } from './fleet/fleet.ts'
import { memoryStore } from './fleet/store.ts'
import { type AccessOptions, checkAccess } from './http/access.ts'
import type { Proxies } from './util/proxies.ts'
import { wrongOption as fail } from './util/wrong-option.ts'

/** Options of the manager. */
export interface ManagerOptions extends AccessOptions, FleetOptions {
  /** Name on the page. @default 'ws-tunnel' */
  title?: string
  /** Where the manager is, if nothing takes the mount path off the URL: node:http does not, Express, Connect and Fastify do. @default '' */
  path?: string
  /** Origins of the page beside the one that the Host header names: behind a proxy that changes Host. @default [] */
  origins?: readonly string[]
  /** Key of the tokens that changes carry; the same in processes behind one address. @default random */
  secret?: string
  /** ms between two looks at the proxies. @default 1000 */
  interval?: number
  /** Looks that the charts go back; 300 of a second are five minutes. @default 300 */
  history?: number
  /** Most live pages at a time; more get 503. @default 20 */
  maxClients?: number
  /** ms between two questions to `authorize` about those who watch live. @default 15000 */
  recheck?: number
  /** Shows the queries of tunnels, which often hold credentials. @default false */
  showQuery?: boolean
  /** ms without a byte after which a draining tunnel ends. @default 5000 */
  quietTime?: number
  /** Hears of every change that was made on the page or by the API, and of the request that asked for it. */
  onChange?: (change: Change, req: IncomingMessage) => void
}

/** Options, all there and checked. */
export type ManagerSettings = Readonly<Required<ManagerOptions>> & { readonly proxies: Proxies }

const DEFAULTS = {
  title: 'ws-tunnel',
  path: '',
  origins: [] as readonly string[],
  interval: 1_000,
  history: 300,
  maxClients: 20,
  recheck: 15_000,
  showQuery: false,
  quietTime: 5_000,
}

/** Lowest and highest values of the numbers. */
const RANGES = {
  interval: [100, 60_000],
  history: [2, 3_600],
  maxClients: [1, 10_000],
  recheck: [100, 3_600_000],
  quietTime: [0, 3_600_000],
} as const

/** @throws {TypeError} that names the option, what was expected and what came. */
export function resolveManagerOptions(proxies: Proxies, options: ManagerOptions): ManagerSettings {
  const known = [...Object.keys(DEFAULTS), 'authorize', 'unsafeOpen', 'secret', 'onChange', 'store', 'onProblem']
  for (const name of Object.keys(options))
    if (!known.includes(name)) fail(name, `one of ${known.join(', ')}`, 'unknown option')
  const authorize = checkAccess(options)
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const settings = {
    ...DEFAULTS,
    secret: randomBytes(32).toString('base64url'),
    onChange: () => {},
    store: memoryStore(),
    onProblem: warn,
    unsafeOpen: false,
    ...given,
    authorize,
    proxies,
  } as ManagerSettings
  for (const name of ['title', 'path', 'secret'] as const)
    if (typeof settings[name] !== 'string') fail(name, 'text', settings[name])
  if (settings.path !== '' && !/^\/.*[^/]$/.test(settings.path))
    fail('path', 'a path such as "/manager"', settings.path)
  if (settings.secret.length < 16) fail('secret', 'at least 16 characters', 'fewer')
  for (const name of ['onChange', 'onProblem'] as const)
    if (typeof settings[name] !== 'function') fail(name, 'a function', settings[name])
  if (typeof settings.store?.open !== 'function') fail('store', 'a store such as redisStore() gives', settings.store)
  if (typeof settings.showQuery !== 'boolean') fail('showQuery', 'true or false', settings.showQuery)
  const isOrigin = (text: unknown): boolean =>
    typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text
  if (!Array.isArray(settings.origins) || !settings.origins.every(isOrigin))
    fail('origins', 'a list such as ["https://admin.example"]', settings.origins)
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = settings[name as keyof typeof RANGES]
    if (!Number.isInteger(value) || value < low || value > high)
      fail(name, `a whole number from ${low} to ${high}`, value)
  }
  return Object.freeze(settings)
}
