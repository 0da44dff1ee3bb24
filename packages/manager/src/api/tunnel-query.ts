import { Refusal } from '../util/refusal.ts'

/** The largest number of tunnels in one list. */
const MAX_TUNNELS = 1_000

/** The number of tunnels in a list if the request sets no limit. */
const DEFAULT_TUNNELS = 200

/** Longest text, in characters. */
const MAX_TEXT = 200

const SORTS = ['age', 'idle', 'client', 'url', 'member', 'route', 'bytesFromClient', 'bytesFromBackend'] as const

/** What a list is sorted by. */
export type TunnelSort = (typeof SORTS)[number]

/** Selects the tunnels of a list. */
export interface TunnelQuery {
  /** A text that the tunnel must contain; empty for all tunnels. */
  search: string
  limit: number
  /** How many tunnels before the first one of the list are left out. */
  offset: number
  /** The client and the member must contain these texts. Empty for any. */
  client: string
  member: string
  /** The route, as `proxy index`; empty for any. */
  route: string
  /** `draining`, or `idle` for a tunnel without a byte in the last minute; empty for any. */
  state: string
  sort: TunnelSort
  /** The other direction: the oldest, the longest idle, the last by name, the fewest bytes first. */
  reverse: boolean
}

/** @throws {Refusal} 400 for a wrong `limit`, `offset`, `state`, `sort` or `reverse`. */
export function readTunnelQuery(query: URLSearchParams): TunnelQuery {
  const limit = wholeNumber(query, 'limit', DEFAULT_TUNNELS)
  if (limit === undefined || limit < 1 || limit > MAX_TUNNELS)
    throw new Refusal(400, `Expected \`limit\` to be a whole number from 1 to ${MAX_TUNNELS}`)
  const offset = wholeNumber(query, 'offset', 0)
  if (offset === undefined) throw new Refusal(400, 'Expected `offset` to be a whole number of at most 7 digits')
  const text = (name: string): string => (query.get(name) ?? '').slice(0, MAX_TEXT)
  return {
    search: text('search'),
    limit,
    offset,
    client: text('client').toLowerCase(),
    member: text('member').toLowerCase(),
    route: text('route'),
    state: oneOf(query, 'state', ['', 'draining', 'idle']),
    sort: oneOf(query, 'sort', SORTS, 'age'),
    reverse: oneOf(query, 'reverse', ['', '1']) === '1',
  }
}

function wholeNumber(query: URLSearchParams, name: string, none: number): number | undefined {
  const [text = String(none), second] = query.getAll(name)
  return /^\d{1,7}$/.test(text) && second === undefined ? Number(text) : undefined
}

function oneOf<T extends string>(query: URLSearchParams, name: string, values: readonly T[], none?: T): T {
  const text = query.get(name) ?? none ?? ''
  const value = values.find(value => value === text)
  if (value === undefined)
    throw new Refusal(400, `Expected \`${name}\` to be one of ${values.filter(Boolean).join(', ')}`)
  return value
}
