/** The read buffer of a busy socket. */
export interface BusyBuffer {
  /** Its place in the list; -1 outside of it. */
  place: number
  /** Called at intervals. The buffer leaves the list if its socket was silent. */
  checkSilence(): void
}

/** ms between two checks. A socket that was not read between two of them gives its buffer back. */
const INTERVAL = 5_000

const busy: BusyBuffer[] = []
let timer: NodeJS.Timeout | undefined

/** Has the buffer checked at intervals. */
export function watchSilence(buffer: BusyBuffer): void {
  if (buffer.place !== -1) return
  buffer.place = busy.push(buffer) - 1
  timer ??= setInterval(checkSilence, INTERVAL).unref()
}

export function unwatchSilence(buffer: BusyBuffer): void {
  const { place } = buffer
  if (place === -1) return
  const last = busy.pop() as BusyBuffer
  if (last !== buffer) {
    busy[place] = last
    last.place = place
  }
  buffer.place = -1
}

/** Makes one check. */
export function checkSilence(): void {
  // From the end, because a buffer that leaves is replaced by the last one.
  for (let i = busy.length - 1; i >= 0; i--) busy[i]?.checkSilence()
  if (busy.length > 0) return
  clearInterval(timer)
  timer = undefined
}
