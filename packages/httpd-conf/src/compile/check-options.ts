import { createTunnelProxy, WsTunnelError, type WsTunnelOptions } from '@ws-tunnel/core'

/** The message of the core for options that it refuses; `undefined` for options that it accepts. */
export function optionsComplaint(options: WsTunnelOptions): string | undefined {
  try {
    // A proxy that stays open starts health checks.
    void createTunnelProxy(options).close()
    return undefined
  } catch (error) {
    return error instanceof WsTunnelError ? error.message : String(error)
  }
}
