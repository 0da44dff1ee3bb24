import type { TunnelList } from './types.ts'

/** What the list is filtered and sorted by, as the API reads it. */
export interface TunnelFilter {
  readonly search: string
  readonly client: string
  readonly member: string
  readonly route: string
  readonly state: string
  readonly sort: string
  readonly reverse: string
}

/** No filter; the newest first. */
export const NO_FILTER: TunnelFilter = {
  search: '',
  client: '',
  member: '',
  route: '',
  state: '',
  sort: 'age',
  reverse: '',
}

/** The number of rows that are read around those in view. */
const WINDOW = 120

/** The largest number of tunnels that the API gives at a time. */
const PAGE = 1_000

function urlOf(filter: TunnelFilter, offset: number, limit: number): string {
  const given = Object.entries({ ...filter, offset: String(offset), limit: String(limit) })
  return `api/tunnels?${new URLSearchParams(given.filter(([, value]) => value !== ''))}`
}

async function read(url: string): Promise<TunnelList> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`The server responded with ${response.status} ${response.statusText}`)
  return (await response.json()) as TunnelList
}

/** The part of the list of tunnels that is in view. It reads that part again whenever `refresh` is called. */
export class TunnelWindow {
  filter: TunnelFilter = NO_FILTER
  /** The position of the first tunnel that was read. */
  offset = 0
  tunnels: TunnelList = { total: 0, found: 0, list: [] }
  readonly #onRead: () => void
  #first = 0
  #reading = false
  #isStale = false

  constructor(onRead: () => void) {
    this.#onRead = onRead
  }

  /** @param row the first row in view. */
  scrollTo(row: number): void {
    const first = Math.max(0, row - WINDOW / 3)
    this.#first = Math.floor(first)
    const [start, end] = [this.offset, this.offset + this.tunnels.list.length]
    const isRead = row >= start && (row + WINDOW / 3 <= end || end >= this.tunnels.found)
    if (!isRead) this.refresh()
  }

  set(filter: Partial<TunnelFilter>): void {
    this.filter = { ...this.filter, ...filter }
    this.#first = 0
    this.refresh()
  }

  /** Reads the tunnels in view. Calls during a read cost one more read. */
  refresh(): void {
    if (document.hidden) return
    this.#isStale = true
    if (!this.#reading) void this.#read()
  }

  /** Every tunnel that the filter finds. */
  async all(): Promise<TunnelList['list']> {
    const all = []
    for (let offset = 0; ; offset += PAGE) {
      const { list } = await read(urlOf(this.filter, offset, PAGE))
      all.push(...list)
      if (list.length < PAGE) return all
    }
  }

  async #read(): Promise<void> {
    this.#reading = true
    try {
      while (this.#isStale) {
        this.#isStale = false
        const offset = this.#first
        this.tunnels = await read(urlOf(this.filter, offset, WINDOW))
        this.offset = offset
        this.#onRead()
      }
    } catch {
      // The live stream shows that the server is gone. The next sample refreshes the list.
    } finally {
      this.#reading = false
    }
  }
}
