import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { devNull } from 'node:os'
import { performance } from 'node:perf_hooks'

/** How long after a failure for want of descriptors another failure may have the same cause, ms. */
const SOON = 1_000

let lastFailure = Number.NEGATIVE_INFINITY

/** To be called when a system call has failed for want of descriptors. */
export function noteNoDescriptors(): void {
  lastFailure = performance.now()
}

/**
 * Whether the process has no free descriptor, or had none a moment ago. A DNS lookup does not say so: without a descriptor
 * it cannot read its files, and reports that the name does not exist.
 */
export function lacksDescriptors(): boolean {
  if (performance.now() - lastFailure < SOON) return true
  try {
    closeSync(openSync(devNull, 'r'))
    return false
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EMFILE' && code !== 'ENFILE') return false
    noteNoDescriptors()
    return true
  }
}

/** The descriptors that the process may have, and those that are kept free. */
export interface DescriptorLimit {
  readonly limit: number
  /** For refusals, files and DNS lookups, and for backends of connections that are open already. */
  readonly reserve: number
}

/** The part of the limit that is kept free, and its bounds. */
const RESERVED_PART = 1 / 8
const MIN_RESERVE = 16
const MAX_RESERVE = 256

let read: DescriptorLimit | null | undefined

/** The limit of this process (`ulimit -n`). `null` where the system does not say it, or where there is none. */
export function descriptorLimit(): DescriptorLimit | null {
  if (read === undefined) read = readLimit()
  return read
}

function readLimit(): DescriptorLimit | null {
  let text: string
  try {
    text = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return null
  }
  const limit = Number(/^Max open files +(\d+)/m.exec(text)?.[1])
  if (Number.isNaN(limit)) return null
  return { limit, reserve: Math.max(MIN_RESERVE, Math.min(MAX_RESERVE, Math.floor(limit * RESERVED_PART))) }
}

/** The list of the process's descriptors. Since Linux 6.2 its size is their number. */
const LIST = '/proc/self/fd'

/** How many descriptors the process has; all of them if they cannot be counted for want of one. */
function countDescriptors(): number {
  try {
    return statSync(LIST).size || readdirSync(LIST).length
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** About how many more tunnels the descriptors allow: each needs one for its client and one for its backend. */
export function tunnelsLeft(): number | undefined {
  const found = descriptorLimit()
  return found === null ? undefined : Math.max(0, Math.floor((found.limit - found.reserve - countDescriptors()) / 2))
}

/** Descriptors that a new connection may take until they are counted again: client, backend, and a copy for a thread. */
const PER_CONNECTION = 3

/** How long a count is used, ms. */
const MAX_AGE = 1_000

/** The least time between two counts is this many times the duration of a count. */
const PAUSES = 20

/** Tells whether descriptors are left for a new connection, without counting them each time. */
export class DescriptorBudget {
  readonly #limit: number
  #connections = 0
  #countedAt = Number.NEGATIVE_INFINITY
  #pause = 0

  constructor({ limit, reserve }: DescriptorLimit) {
    this.#limit = limit - reserve
  }

  /** @param expected descriptors that are not open yet, or will be closed soon, as a negative number */
  take(expected: number): boolean {
    const now = performance.now()
    const age = now - this.#countedAt
    if (age > MAX_AGE || (this.#connections < 1 && age > this.#pause)) {
      const left = this.#limit - countDescriptors() - expected
      this.#countedAt = performance.now()
      this.#pause = (this.#countedAt - now) * PAUSES
      // The last ones are given out one by one.
      this.#connections = left < PER_CONNECTION ? Math.max(0, Math.sign(left)) : Math.floor(left / PER_CONNECTION)
    }
    if (this.#connections < 1) return false
    this.#connections--
    return true
  }
}
