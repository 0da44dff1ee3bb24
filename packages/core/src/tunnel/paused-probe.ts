import type { Duplex } from 'node:stream'

/** ms between two probes of a paused socket. */
const PROBE_INTERVAL = 300

const NOTHING = Buffer.alloc(0)

/** Key of a flag of a socket: the write of a probe is under way. */
const PROBED = Symbol('ws-tunnel.probed')

type Probed = Duplex & { [PROBED]?: boolean }

/**
 * Whether the write of a probe is under way. It has no bytes, so `writableLength` does not show it, but a write after it
 * has to wait.
 */
export const isProbed = (socket: Probed): boolean => socket[PROBED] === true

/**
 * Finds out whether the peer of a paused socket has sent RST. Node does not notice an RST on a socket that it does not
 * read. A write of no bytes sends nothing and fails on a socket that was reset, so the probe makes one at intervals
 * while the socket is paused.
 */
export class PausedProbe {
  readonly #socket: Probed
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** To be called at each pause. It does nothing while the probe runs. */
  start(): void {
    this.#timer ??= setTimeout(() => this.#probe(), PROBE_INTERVAL)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #probe(): void {
    this.#timer = undefined
    const socket = this.#socket
    if (!socket.isPaused() || socket.destroyed) return
    if (socket.writable && socket.writableLength === 0 && !isProbed(socket)) {
      socket[PROBED] = true
      socket.write(NOTHING, () => {
        socket[PROBED] = false
      })
    }
    this.start()
  }
}
