import { closeSync, openSync } from 'node:fs'
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
