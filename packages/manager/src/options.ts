import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Change } from './api/changes.ts'
import type { AddedMembersOptions } from './fleet/added-members.ts'
import { emitProblem, type FleetOptions } from './fleet/fleet-options.ts'
import { memoryStore } from './fleet/store.ts'
import { type AccessOptions, checkAccess } from './http/access.ts'
import type { Proxies } from './util/proxies.ts'
import { wrongOption } from './util/wrong-option.ts'

/** Options of the manager. */
export interface ManagerOptions extends AccessOptions, FleetOptions {
  /**
   * The name on the page.
   *
   * @default 'ws-tunnel'
   */
  title?: string
  /**
   * The path of the manager, for node:http only. Express, Connect and Fastify remove the mount path from the URL
   * themselves.
   *
   * @default ''
   */
  path?: string
  /**
   * Further origins of the page, besides the one that the Host header names. They are needed behind a proxy that
   * changes Host.
   *
   * @default []
   */
  origins?: readonly string[]
  /**
   * Host names of the manager, such as `admin.example`, besides `localhost` and IP addresses. A request with another
   * `Host` gets 421: by DNS rebinding a foreign site could otherwise make changes.
   *
   * @default []
   */
  hosts?: readonly string[]
  /**
   * The key of the tokens that changes carry, at least 16 characters. Processes behind one address need the same key.
   *
   * @default random
   */
  secret?: string
  /**
   * Milliseconds between two samples, 100 to 60000.
   *
   * @default 1000
   */
  interval?: number
  /**
   * Samples that the charts show, 2 to 3600. With the default `interval` 300 of them are five minutes.
   *
   * @default 300
   */
  history?: number
  /**
   * The largest number of live pages at a time, of visitors who may make changes and of those who may only view, each. A
   * further page gets 503.
   *
   * @default 20
   */
  maxClients?: number
  /**
   * Milliseconds between two calls of `authorize` for a live page, 100 to 3600000.
   *
   * @default 15000
   */
  recheck?: number
  /**
   * Shows the queries of tunnels, which often contain credentials.
   *
   * @default false
   */
  showQuery?: boolean
  /**
   * Milliseconds without a byte after which a draining tunnel ends, 0 to 3600000.
   *
   * @default 5000
   */
  quietTime?: number
  /** Called for every change that the page or the API made, with the request that made it. */
  onChange?: (change: Change, req: IncomingMessage) => void
}

/** The checked options, with the default where an option is not set. */
export type ManagerSettings = Readonly<Required<ManagerOptions>> & { readonly proxies: Proxies }

const DEFAULTS = {
  title: 'ws-tunnel',
  path: '',
  origins: [] as readonly string[],
  hosts: [] as readonly string[],
  addedMembers: {} as AddedMembersOptions,
  interval: 1_000,
  history: 300,
  maxClients: 20,
  recheck: 15_000,
  showQuery: false,
  quietTime: 5_000,
}

/** The lowest and the highest value of each number. */
const RANGES = {
  interval: [100, 60_000],
  history: [2, 3_600],
  maxClients: [1, 10_000],
  recheck: [100, 3_600_000],
  quietTime: [0, 3_600_000],
} as const

/** @throws {TypeError} for a wrong option. The message names the option, what was expected and what it got. */
export function resolveManagerOptions(proxies: Proxies, options: ManagerOptions): ManagerSettings {
  if (typeof options !== 'object' || options === null)
    wrongOption('options', 'given: `authorize` says who may use the manager', options)
  const known = [...Object.keys(DEFAULTS), 'authorize', 'unsafeOpen', 'secret', 'onChange', 'store', 'onProblem']
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw new TypeError(`Unknown option \`${name}\`, expected one of ${known.join(', ')}`)
  const authorize = checkAccess(options)
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const settings = {
    ...DEFAULTS,
    secret: randomBytes(32).toString('base64url'),
    onChange: () => {},
    store: memoryStore(),
    onProblem: emitProblem,
    unsafeOpen: false,
    ...given,
    authorize,
    proxies,
  } as ManagerSettings
  for (const name of ['title', 'path', 'secret'] as const)
    if (typeof settings[name] !== 'string') wrongOption(name, 'text', settings[name])
  if (settings.path !== '' && !/^\/.*[^/]$/.test(settings.path))
    wrongOption('path', 'a path such as "/manager"', settings.path)
  if (settings.secret.length < 16) wrongOption('secret', 'at least 16 characters', 'fewer')
  for (const name of ['onChange', 'onProblem'] as const)
    if (typeof settings[name] !== 'function') wrongOption(name, 'a function', settings[name])
  if (typeof settings.store?.open !== 'function')
    wrongOption('store', 'a store such as the one of redisStore()', settings.store)
  if (typeof settings.showQuery !== 'boolean') wrongOption('showQuery', 'true or false', settings.showQuery)
  const isOrigin = (text: unknown): boolean =>
    typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text
  if (!Array.isArray(settings.origins) || !settings.origins.every(isOrigin))
    wrongOption('origins', 'a list such as ["https://admin.example"]', settings.origins)
  const isHost = (text: unknown): boolean => typeof text === 'string' && /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(text)
  if (!Array.isArray(settings.hosts) || !settings.hosts.every(isHost))
    wrongOption('hosts', 'a list of names in lower case without port, such as ["admin.example"]', settings.hosts)
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = settings[name as keyof typeof RANGES]
    if (!Number.isInteger(value) || value < low || value > high)
      wrongOption(name, `a whole number from ${low} to ${high}`, value)
  }
  return Object.freeze(settings)
}
