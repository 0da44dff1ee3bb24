/** A socket that has a read buffer of its own. */
export interface BusyReader {
  /**
   * Called at intervals.
   *
   * @returns whether the socket still has its buffer
   */
  checkSilence(): boolean
}

/** ms between two checks. A socket that was not read between two of them gives its buffer back. */
const INTERVAL = 5_000

let busy: BusyReader[] = []
let timer: NodeJS.Timeout | undefined

/** Has the reader checked at intervals until it has no buffer of its own. */
export function watchSilence(reader: BusyReader): void {
  busy.push(reader)
  timer ??= setInterval(checkAll, INTERVAL).unref()
}

function checkAll(): void {
  busy = busy.filter(reader => reader.checkSilence())
  if (busy.length > 0) return
  clearInterval(timer)
  timer = undefined
}
